// The WebSocket for Flet's client, which survives reconnects of the real one.
//
// Flet's client does not learn of a lost connection, because it would show only "Working...". The
// screen stays, and the link reconnects. An app that still has the session redraws it. An app that
// was restarted does not know the session, and the page is reloaded.

import { EVENT, REGISTER, heard, read, say } from "./flet.js";
import { reload } from "./reload.js";

const Real = window.WebSocket;

/** Close code for a page whose session is gone (pages.py: STALE_CODE). */
const STALE_CODE = 4404;

/** The key under which Flet's client stores its session. */
const SESSION = "_flet_session_id";

/** Milliseconds between attempts, and of silence before the connection counts as lost. */
const FIRST_PAUSE_MS = 300, LAST_PAUSE_MS = 2000, ASK_AFTER_MS = 10_000, END_AFTER_MS = 20_000;

/** Bytes of a frame that the app accepts (frame_filter.py). */
const MAX_FRAME_BYTES = 128 << 10, MAX_FILE_FRAME_BYTES = 8 << 20;

/** Bytes of drafts in the first frame, before the app knows the person (frame_filter.py). */
const MAX_DRAFT_BYTES = 40_000;

/**
 * The link of a page. Its events:
 * - `begun`: Flet's client is loaded
 * - `up`, `down`: the app is connected and has the session, or not
 * - `resumed`: the app has reconnected and is about to redraw the session
 * - `told`: a message of the app (detail)
 * - `event`: an event of Flet's client (detail: {name, target, data, packet}); cancelling it holds
 *   it back, and `packet` can be sent later
 */
export class Link extends EventTarget {
  constructor(kept) {
    super();
    this.kept = kept;
    this.isUp = false;
    this.takesLines = false;
    this.#watch();
  }

  /** Makes Flet's client use this link. */
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

  /** Sends a message to the app; false without a connection. */
  say(kind, said) {
    if (!this.isUp) return false;
    this.#real.send(say({ kind, ...said }));
    return true;
  }

  /** Resolves to true once the app has begun handling all earlier frames; to false without a
   * connection. */
  answer() {
    const ping = ++this.#pings;
    if (!this.say("ping", { ping })) return Promise.resolve(false);
    return new Promise((resolve) => this.#waiting.set(ping, resolve));
  }

  /** Sends a frame of Flet's client; without a connection the frame is lost. */
  send(packet, most = MAX_FRAME_BYTES) {
    if (this.isUp && packet.byteLength <= most) this.#real.send(packet);
  }

  /** Sends the stored lines, possibly again: the app recognises them by their keys. */
  sendLines(lines = this.kept.lines) {
    if (this.takesLines) for (const line of lines) this.say("line", line);
  }

  #stand = null; // the object that Flet's client uses
  #real = null;
  #url = "";
  #register = null;
  #opened = false;
  #isHeard = false;
  #pause = FIRST_PAUSE_MS;
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
    this.#pause = FIRST_PAUSE_MS;
    this.#heardAt = performance.now();
    this.isUp = true;
    this.#isHeard = false;
    const user = this.kept.user;
    const session = this.#register ? sessionStorage.getItem(SESSION) ?? "" : "";
    this.say("hello", { session, user, drafts: this.kept.newest(MAX_DRAFT_BYTES) });
    if (this.#register) {
      this.#real.send(this.#register);
      this.dispatchEvent(new Event("resumed"));
    } else {
      this.#opened = true;
      this.#stand.dispatchEvent(new Event("open"));
    }
  }

  #message(packet) {
    this.#heardAt = performance.now();
    if (!this.#isHeard) {
      // Only now: a restarted app would close the connection at once, and the page would be
      // reloaded.
      this.#isHeard = true;
      this.dispatchEvent(new Event("up"));
    }
    const told = heard(packet);
    if (told === null) {
      this.#stand.dispatchEvent(new MessageEvent("message", { data: packet }));
    } else if (told.kind === "pong") {
      this.#waiting.get(told.ping)?.(true);
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
    const wasUp = this.isUp;
    this.isUp = this.takesLines = false;
    for (const resolve of this.#waiting.values()) resolve(false);
    this.#waiting.clear();
    if (code === STALE_CODE) {
      this.#reload();
      return;
    }
    if (wasUp || !this.#opened) this.dispatchEvent(new Event("down"));
    this.#retry = setTimeout(() => this.#connect(), this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(2 * this.#pause, LAST_PAUSE_MS);
  }

  /** Handles a frame of Flet's client. */
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
      const detail = { ...body, packet };
      const event = new CustomEvent("event", { detail, cancelable: true });
      if (!this.dispatchEvent(event)) return;
    }
    // A larger frame would end the connection, so a large paste is dropped.
    const hasFiles = action === EVENT && body.name === "paste_files";
    this.send(packet, hasFiles ? MAX_FILE_FRAME_BYTES : MAX_FRAME_BYTES);
  }

  /** Reloads the page when the person pauses: keys would be lost during a reload. */
  #reload() {
    this.dispatchEvent(new Event("down"));
    const begun = performance.now();
    const look = () => {
      const now = performance.now();
      if (now - this.#typedAt < 700 && now - begun < 10_000) {
        setTimeout(look, 100);
        return;
      }
      this.kept.giveUpCommands();
      sessionStorage.removeItem(SESSION); // otherwise the page would request the same session again
      reload();
    };
    look();
  }

  /** Detects what no close event reports: a silent app, or the network being back. */
  #watch() {
    addEventListener("keydown", () => { this.#typedAt = performance.now(); }, true);
    addEventListener("online", () => { if (this.#stand && !this.#real) this.#connect(); });
    setInterval(() => {
      const now = performance.now(), silent = now - this.#heardAt;
      if (!this.isUp || silent < ASK_AFTER_MS) {
        this.#askedAt = 0;
      } else if (!this.#askedAt) {
        this.#askedAt = now;
        this.say("ping", { ping: ++this.#pings });
      } else if (now - this.#askedAt > END_AFTER_MS - ASK_AFTER_MS) {
        this.#askedAt = 0;
        const real = this.#real;
        this.#lost(0);
        real.close();
      }
    }, 1000);
  }
}
