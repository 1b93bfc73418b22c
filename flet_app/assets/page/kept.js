// Stores text that the realm does not have yet: drafts, and sent lines.
//
// The store belongs to this tab and survives a reload and a restart of the app, until the person
// signs out. A command with a password, or a misspelt one that may have one, is kept only in
// memory.

const KEY = "chat.kept";

/** Bounds of the store: conversations, lines, and characters in all. */
const MAX_DRAFTS = 50, MAX_LINES = 200, MAX_CHARACTERS = 400_000;

/** Whether a text is a command: two slashes begin a message. */
export const isCommand = (text) => /^\s*\/(?!\/)/.test(text);

export class Kept {
  constructor() {
    /** The owner; empty if nobody has signed in here. */
    this.user = "";
    /** Drafts by address, the one changed last at the end. */
    this.drafts = new Map();
    /** Lines that are sent and not done: {key, to, text}, in order. */
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

  /** Notes who is signed in, and the names of the commands without secrets. */
  belongsTo(user, plain) {
    if (this.user && this.user !== user) this.forget();
    this.user = user;
    this.plain = new Set(plain);
    this.save();
  }

  /** Deletes everything: nobody is signed in. */
  forget() {
    this.user = "";
    this.drafts.clear();
    this.lines = [];
    this.save();
  }

  /** Stores the draft of a conversation. */
  draft(to, text) {
    this.drafts.delete(to);
    this.drafts.set(to, text);
    if (this.drafts.size > MAX_DRAFTS) this.drafts.delete(this.drafts.keys().next().value);
    this.save();
  }

  /** Returns the latest drafts by address, within that many bytes of JSON. */
  newest(most) {
    const found = {};
    const encoder = new TextEncoder();
    for (const [to, text] of [...this.drafts].reverse()) {
      most -= encoder.encode(JSON.stringify([to, text])).length;
      if (most < 0) break;
      found[to] = text;
    }
    return found;
  }

  /** Stores a sent line; returns the line, or null if the store is full. */
  line(to, text) {
    const size = this.lines.reduce((sum, line) => sum + line.text.length, text.length);
    if (this.lines.length >= MAX_LINES || size > MAX_CHARACTERS / 2) return null;
    const random = crypto.getRandomValues(new Uint8Array(16));
    const key = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const line = { key, to, text };
    this.lines.push(line);
    this.save();
    return line;
  }

  /** Removes a line that the app has finished with or returns; returns the line. */
  take(key) {
    const line = this.lines.find((one) => one.key === key);
    this.lines = this.lines.filter((one) => one !== line);
    this.save();
    return line;
  }

  /** Returns commands with an unknown outcome to their drafts. */
  giveUpCommands() {
    for (const { key, to, text } of this.lines.filter((line) => isCommand(line.text))) {
      this.take(key);
      this.draft(to, joined(text, this.drafts.get(to) ?? ""));
    }
  }

  save() {
    const drafts = [];
    let room = MAX_CHARACTERS / 2;
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

/** Returns two texts joined. */
export const joined = (text, rest) => (text && rest ? `${text}\n${rest}` : text || rest);
