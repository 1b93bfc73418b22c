// The WebSocket that Flet's client is given. It outlives the one it stands for.
//
// When that breaks, Flet's client is not told, for it would show nothing but "Working...". What was
// shown stays, and the link connects again. An app that still has the session shows it anew; one
// that was started since knows nothing of it, and then the page is loaded anew.

import { EVENT, REGISTER, heard, read, say } from "./flet.js";
import { reload } from "./reload.js";

const Real = window.WebSocket;

/** Closes a page whose session is gone (pages.py: STALE). */
const STALE = 4404;

/** Where Flet's client keeps its session. */
const SESSION = "_flet_session_id";

/** Milliseconds: between attempts, and until silence is taken for the end. */
const FIRST_PAUSE = 300, LAST_PAUSE = 2000, ASKS_AFTER = 10_000, ENDS_AFTER = 20_000;

/** Bytes of a frame that the app takes (frames.py: MAX_OTHER, MAX_FRAME). */
const MOST = 128 << 10, MOST_PASTED = 8 << 20;

/**
 * The one link of a page. It tells others by its events:
 * - `begun`: Flet's client is loaded
 * - `up`, `down`: the app is there, or not
 * - `resumed`: it is there again, and about to show anew what it knows
 * - `told`: the app says something (detail)
 * - `event`: Flet's client says something (detail: {name, target, data}); cancelled, it is kept back
 */
export class Link extends EventTarget {
  constructor(kept) {
    super();
    this.kept = kept;
    this.isUp = false;
    this.takesLines = false;
    this.#watch();
  }

  /** Has Flet's client use this link. */
  install() {
    const link = this;
    window.WebSocket = class extends EventTarget {
      constructor(url) {
        super();
        link.#begin(this, url);
        this.url = String(url);
        this.binaryType = "arraybuffer";
        this.protocol = this.extensions = "";
        this.bufferedAmount = 0;
      }

      get readyState() {
        return link.#state(this);
      }

      send(packet) {
        link.#flet(packet);
      }

      close() {
        link.#end(this);
      }
    };
  }

  /** Says something to the app; false if it is not there. */
  say(kind, said) {
    if (!this.isUp) return false;
    this.#real.send(say({ kind, ...said }));
    return true;
  }

  /** Resolves when the app has done the first step of all it was told until now, or is away. */
  answer() {
    const ping = ++this.#pings;
    if (!this.say("ping", { ping })) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(ping, resolve));
  }

  /** Sends the lines that are kept, again if need be: the app knows them by their keys. */
  sendLines(lines = this.kept.lines) {
    if (this.takesLines) for (const line of lines) this.say("line", line);
  }

  #stand = null; // what Flet's client has
  #real = null;
  #url = "";
  #register = null;
  #opened = false;
  #pause = FIRST_PAUSE;
  #retry = 0;
  #heardAt = 0;
  #askedAt = 0;
  #pings = 0;
  #waiting = new Map();
  #typedAt = 0;

  #begin(stand, url) {
    this.#stand = stand;
    this.#url = url;
    this.#register = null;
    this.#opened = false;
    this.dispatchEvent(new Event("begun"));
    this.#connect();
  }

  #end(stand) {
    if (stand !== this.#stand) return;
    this.#stand = null;
    clearTimeout(this.#retry);
    this.#real?.close();
  }

  #state(stand) {
    if (stand !== this.#stand) return Real.CLOSED;
    return this.#opened ? Real.OPEN : Real.CONNECTING;
  }

  #connect() {
    clearTimeout(this.#retry);
    const real = this.#real = new Real(this.#url);
    real.binaryType = "arraybuffer";
    const mine = (handle) => (event) => { if (this.#real === real && this.#stand) handle(event); };
    real.addEventListener("open", mine(() => this.#open()));
    real.addEventListener("message", mine((event) => this.#message(event.data)));
    real.addEventListener("close", mine((event) => this.#lost(event.code)));
  }

  #open() {
    this.#pause = FIRST_PAUSE;
    this.#heardAt = performance.now();
    this.isUp = true;
    const { user, drafts } = this.kept;
    const session = this.#register ? sessionStorage.getItem(SESSION) ?? "" : "";
    this.say("hello", { session, user, drafts: Object.fromEntries(drafts) });
    if (this.#register) {
      this.#real.send(this.#register);
      this.dispatchEvent(new Event("resumed"));
    } else {
      this.#opened = true;
      this.#stand.dispatchEvent(new Event("open"));
    }
    this.dispatchEvent(new Event("up"));
  }

  #message(packet) {
    this.#heardAt = performance.now();
    const told = heard(packet);
    if (told === null) {
      this.#stand.dispatchEvent(new MessageEvent("message", { data: packet }));
    } else if (told.kind === "pong") {
      this.#waiting.get(told.ping)?.();
      this.#waiting.delete(told.ping);
    } else {
      if (told.kind === "user") {
        this.kept.belongsTo(told.user, told.plain);
        this.takesLines = true;
        this.sendLines();
      }
      this.dispatchEvent(new CustomEvent("told", { detail: told }));
    }
  }

  #lost(code) {
    this.#real = null;
    if (code === STALE) {
      this.#reload();
      return;
    }
    const wasUp = this.isUp;
    this.isUp = this.takesLines = false;
    for (const resolve of this.#waiting.values()) resolve();
    this.#waiting.clear();
    if (wasUp || !this.#opened) this.dispatchEvent(new Event("down"));
    this.#retry = setTimeout(() => this.#connect(), this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(2 * this.#pause, LAST_PAUSE);
  }

  /** Takes a frame of Flet's client. */
  #flet(packet) {
    let found = null;
    try {
      found = read(packet);
    } catch (error) {
      console.warn("a frame of Flet's could not be read", error);
    }
    const [action, body] = found ?? [0, {}];
    if (action === REGISTER) this.#register = packet;
    if (action === EVENT) {
      const event = new CustomEvent("event", { detail: body, cancelable: true });
      if (!this.dispatchEvent(event)) return;
    }
    // A larger one would end the connection; what somebody pasted is not worth that.
    const most = action === EVENT && body.name === "paste_files" ? MOST_PASTED : MOST;
    if (this.isUp && packet.byteLength <= most) this.#real.send(packet);
  }

  /** Loads the page anew, when the person pauses: it takes a moment, in which keys would be lost. */
  #reload() {
    this.isUp = this.takesLines = false;
    this.dispatchEvent(new Event("down"));
    const begun = performance.now();
    const look = () => {
      const now = performance.now();
      if (now - this.#typedAt < 700 && now - begun < 10_000) {
        setTimeout(look, 100);
        return;
      }
      this.kept.giveUpCommands();
      sessionStorage.removeItem(SESSION); // or the page would ask for the same session again
      reload();
    };
    look();
  }

  /** Sees what no close event tells: that the app is silent, or the network is back. */
  #watch() {
    addEventListener("keydown", () => { this.#typedAt = performance.now(); }, true);
    addEventListener("online", () => { if (this.#stand && !this.#real) this.#connect(); });
    setInterval(() => {
      const now = performance.now(), silent = now - this.#heardAt;
      if (!this.isUp || silent < ASKS_AFTER) {
        this.#askedAt = 0;
      } else if (!this.#askedAt) {
        this.#askedAt = now;
        this.say("ping", { ping: ++this.#pings });
      } else if (now - this.#askedAt > ENDS_AFTER - ASKS_AFTER) {
        this.#askedAt = 0;
        const real = this.#real;
        this.#lost(0);
        real.close();
      }
    }, 1000);
  }
}
