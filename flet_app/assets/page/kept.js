// What a person has written and the realm does not have: drafts, and lines that were sent.
//
// It is kept for this tab alone, over a reload and a restart of the app, until the person signs out.
// A command that carries a password, or a misspelt one that might, stays in memory.

const KEY = "chat.kept";

/** Bounds of what is kept: conversations, lines, and characters of all of it. */
const MOST_DRAFTS = 50, MOST_LINES = 200, MOST_CHARACTERS = 400_000;

/** Whether a text is a command of the app: two slashes begin a message. */
export const isCommand = (text) => /^\s*\/(?!\/)/.test(text);

export class Kept {
  constructor() {
    /** Whose it is; empty: nobody has signed in here. */
    this.user = "";
    /** Addresses and texts, the one written last at the end. */
    this.drafts = new Map();
    /** What was sent and is not done: {key, to, text}, in its order. */
    this.lines = [];
    this.plain = new Set();
    try {
      const found = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
      this.user = found.user ?? "";
      this.drafts = new Map(found.drafts ?? []);
      this.lines = found.lines ?? [];
      this.plain = new Set(found.plain ?? []);
    } catch (_) { /* then nothing was kept */ }
  }

  /** Somebody is signed in, with the names of the commands that carry no secret. */
  belongsTo(user, plain) {
    if (this.user && this.user !== user) this.forget();
    this.user = user;
    this.plain = new Set(plain);
    this.save();
  }

  /** Nobody is signed in any more. */
  forget() {
    this.user = "";
    this.drafts.clear();
    this.lines = [];
    this.save();
  }

  /** This stands in the box of a conversation. */
  draft(to, text) {
    this.drafts.delete(to);
    this.drafts.set(to, text);
    if (this.drafts.size > MOST_DRAFTS) this.drafts.delete(this.drafts.keys().next().value);
    this.save();
  }

  /** Keeps a line that is sent; returns it, or null if there is no room for more. */
  line(to, text) {
    const size = this.lines.reduce((sum, line) => sum + line.text.length, text.length);
    if (this.lines.length >= MOST_LINES || size > MOST_CHARACTERS / 2) return null;
    const random = crypto.getRandomValues(new Uint8Array(16));
    const key = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const line = { key, to, text };
    this.lines.push(line);
    this.save();
    return line;
  }

  /** The app needs a line no more, or gives it back; returns it. */
  take(key) {
    const line = this.lines.find((one) => one.key === key);
    this.lines = this.lines.filter((one) => one !== line);
    this.save();
    return line;
  }

  /** Puts commands of which nobody knows whether they ran back to their drafts. */
  giveUpCommands() {
    for (const { key, to, text } of this.lines.filter((line) => isCommand(line.text))) {
      this.take(key);
      this.draft(to, joined(text, this.drafts.get(to) ?? ""));
    }
  }

  save() {
    const drafts = [];
    let room = MOST_CHARACTERS / 2;
    for (const [to, text] of [...this.drafts].reverse()) {
      room -= text.length;
      if (room >= 0 && text && this.#mayStay(text)) drafts.unshift([to, text]);
    }
    const lines = this.lines.filter((line) => !isCommand(line.text));
    try {
      if (this.user && (drafts.length || lines.length)) {
        const kept = { user: this.user, plain: [...this.plain], drafts, lines };
        sessionStorage.setItem(KEY, JSON.stringify(kept));
      } else {
        sessionStorage.removeItem(KEY);
      }
    } catch (_) { /* the browser keeps nothing: it is in memory */ }
  }

  #mayStay(text) {
    return !isCommand(text) || this.plain.has(text.trim().slice(1).split(/\s/, 1)[0].toLowerCase());
  }
}

/** Returns what comes of a text that goes before another one. */
export const joined = (text, rest) => (text && rest ? `${text}\n${rest}` : text || rest);
