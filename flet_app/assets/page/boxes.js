// The boxes for messages: their texts, and how these are sent.
//
// The app declares a box before Flet's client shows it. From then on this script handles Enter and
// the send button at once, and reports a line to the app. So the text typed next cannot mix with
// the sent text, however distant the app is.

import { isCommand, joined } from "./kept.js";

/** Boxes of closed conversations that are remembered: Flet's client may still send their events. */
const MAX_CLOSED_BOXES = 20;

export const isTextarea = (element) => element?.tagName === "TEXTAREA";
export const isField = (element) => element?.tagName === "INPUT";

/** Sets the text of a box as if it was typed, so that Flet's client notices the change. */
export function put(element, text, from = text.length, to = from) {
  element.value = text;
  element.setSelectionRange(from, to);
  element.dispatchEvent(new InputEvent("input", { bubbles: true, composed: true }));
}

/**
 * Dispatches `declared` before another box appears, `waiting` when the waiting lines change, and
 * `button` when the send button is pressed; cancelling `button` prevents sending.
 */
export class Boxes extends EventTarget {
  #known = new Map();

  constructor(link) {
    super();
    /**
     * The shown box, or null: {id, to, text, told, button, most, focus, hasFocus, before}. `focus`:
     * the box must get the focus. `hasFocus`: the box has the focus, according to Flet's client.
     * `before`: the element that had the focus before.
     */
    this.current = null;
    this.link = link;
    this.kept = link.kept;
    link.addEventListener("event", (event) => this.#flet(event));
    link.addEventListener("told", (event) => this.#told(event.detail));
  }

  /** Returns the element of a box; null if the box is hidden or lacks the focus. */
  element(box) {
    const element = document.activeElement;
    // Flet's client reports the focus shortly before the element of the previous box is removed.
    const isThere = box === this.current && box?.hasFocus && element !== box.before;
    return isThere && isTextarea(element) ? element : null;
  }

  /** Restores text that was typed while the app redrew the box with an older text. */
  repair() {
    const element = this.element(this.current);
    if (element && element.value !== this.current.text) put(element, this.current.text);
  }

  /** Changes the text of a box that is no longer shown: the draft of its conversation. */
  keep(box, text) {
    box.text = text;
    this.kept.draft(box.to, text);
    this.link.say("draft", { to: box.to, text });
  }

  /** Sends the text of a box. */
  send(box) {
    const { text } = box;
    const isLine = text.trim() !== "";
    if (isLine) {
      const size = new TextEncoder().encode(text.replace(/^\n+|\n+$/g, "")).length;
      if (!isCommand(text) && size > box.most) {
        this.link.say("long", { size });
        return;
      }
      // Commands never wait for the app: without a connection they stay in the box.
      if (isCommand(text) && !this.link.takesLines) return;
      const line = this.kept.line(box.to, text);
      if (line === null) return;
      this.link.sendLines([line]);
      this.dispatchEvent(new Event("waiting"));
    }
    // Update the text now: the next Enter may come before Flet's client reports the change.
    box.text = "";
    this.kept.draft(box.to, "");
    // Run after Flet's client has handled the key, but before the next key.
    queueMicrotask(() => this.#empty(box, text));
  }

  #told(told) {
    if (told.kind === "box") this.#declare(told);
    else if (told.kind === "done") this.#done(told.key);
    else if (told.kind === "back") this.#giveBack(told.key);
    else if (told.kind === "forget") {
      this.current = null;
      this.#known.clear();
      this.kept.forget();
      this.dispatchEvent(new Event("waiting"));
    }
  }

  #declare(told) {
    const left = this.current;
    if (left?.id === told.box) return;
    // The app may lack the last letters: events of a removed box are lost.
    if (left && left.text !== left.told) this.link.say("draft", { to: left.to, text: left.text });
    const { box: id, to, text, button, most, focus } = told;
    const before = document.activeElement;
    this.current = { id, to, text, told: text, button, most, focus, hasFocus: false, before };
    this.#known.set(id, this.current);
    if (this.#known.size > MAX_CLOSED_BOXES) this.#known.delete(this.#known.keys().next().value);
    this.dispatchEvent(new Event("declared"));
  }

  #flet(event) {
    const { name, target, data } = event.detail;
    const box = this.#known.get(target);
    if (name === "click" && this.current?.button === target) {
      event.preventDefault();
      if (this.dispatchEvent(new Event("button", { cancelable: true }))) this.send(this.current);
    } else if (box && name === "change") {
      box.text = data ?? "";
      this.kept.draft(box.to, box.text);
    } else if (box && name === "submit") {
      event.preventDefault();
      this.send(box);
    } else if (box && (name === "focus" || name === "blur")) {
      event.preventDefault();
      box.hasFocus = name === "focus";
    } else if (box && name === "tap_outside") {
      event.preventDefault();
    }
  }

  #empty(box, text) {
    const element = this.element(box);
    if (element?.value.startsWith(text)) {
      put(element, element.value.slice(text.length));
    } else if (text && box === this.current) {
      // The box lacks the focus, so only the app can empty it.
      this.link.say("emptied", { box: box.id });
    } else if (text) {
      this.keep(box, box.text);
    }
  }

  #done(key) {
    this.kept.take(key);
    this.dispatchEvent(new Event("waiting"));
  }

  #giveBack(key) {
    const line = this.kept.take(key);
    if (!line) return;
    const element = this.element(this.current);
    if (element && this.current.to === line.to && element.value === this.current.text) {
      put(element, joined(line.text, element.value));
    } else {
      const text = joined(line.text, this.kept.drafts.get(line.to) ?? "");
      this.kept.draft(line.to, text);
      this.link.say("draft", { to: line.to, text });
    }
    this.dispatchEvent(new Event("waiting"));
  }
}
