// The boxes for messages: what stands in each, and what becomes of it.
//
// The app declares a box before Flet's client shows it. From then on Enter and the button that
// sends are handled here, at once, and the app is told a line instead; so nothing that is typed next
// can be mixed up with what was sent, however far away the app is.

import { isCommand, joined } from "./kept.js";

/** Boxes of conversations left that are remembered: Flet's client may still speak of them. */
const MOST = 20;

export const isTextarea = (element) => element?.tagName === "TEXTAREA";

/** Gives a box another text, as if somebody had typed it, so that Flet's client takes it. */
export function put(element, text, at = text.length) {
  element.value = text;
  element.setSelectionRange(at, at);
  element.dispatchEvent(new InputEvent("input", { bubbles: true, composed: true }));
}

/** It dispatches `declared` when there will be another box, and `waiting` when lines come or go. */
export class Boxes extends EventTarget {
  #known = new Map();

  constructor(link) {
    super();
    /** The box that is shown: {id, to, text, button, most, focus}; or null. */
    this.current = null;
    this.link = link;
    this.kept = link.kept;
    link.addEventListener("event", (event) => this.#flet(event));
    link.addEventListener("told", (event) => this.#told(event.detail));
  }

  /** Puts back what was written while the app showed the box as it knew it. */
  repair() {
    const element = document.activeElement;
    if (this.current && isTextarea(element) && element.value !== this.current.text) {
      put(element, this.current.text);
    }
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
    // The app may not know the last letters: those events of a box that is gone are lost.
    if (left && left.text !== left.told) this.link.say("draft", { to: left.to, text: left.text });
    const { box: id, to, text, button, most, focus } = told;
    this.current = { id, to, text, told: text, button, most, focus };
    this.#known.set(id, this.current);
    if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value);
    this.dispatchEvent(new Event("declared"));
  }

  #flet(event) {
    const { name, target, data } = event.detail;
    if (name === "change") {
      const box = this.#known.get(target);
      if (!box) return;
      box.text = data ?? "";
      this.kept.draft(box.to, box.text);
    } else if (name === "submit" && this.#known.has(target)) {
      event.preventDefault();
      this.#send(this.#known.get(target));
    } else if (name === "click" && this.current?.button === target) {
      event.preventDefault();
      this.#send(this.current);
    } else if (name === "tap_outside" && this.#known.has(target)) {
      event.preventDefault();
    }
  }

  #send(box) {
    const { text } = box;
    const isLine = text.trim() !== "";
    if (isLine) {
      const size = new TextEncoder().encode(text.replace(/^\n+|\n+$/g, "")).length;
      if (!isCommand(text) && size > box.most) {
        this.link.say("long", { size });
        return;
      }
      // Commands are run here and now or not at all, so they stay in the box.
      if (isCommand(text) && !this.link.takesLines) return;
      const line = this.kept.line(box.to, text);
      if (line === null) return;
      this.link.sendLines([line]);
      this.dispatchEvent(new Event("waiting"));
    }
    // Flet's client is at work on the key; behind it, but before the next key.
    queueMicrotask(() => this.#empty(box, text));
  }

  #empty(box, text) {
    const element = document.activeElement;
    if (isTextarea(element) && element.value.startsWith(text)) {
      put(element, element.value.slice(text.length));
    } else if (text) {
      // It has not the focus, so that only the app can.
      box.text = "";
      this.kept.draft(box.to, "");
      this.link.say("emptied", { box: box.id });
    }
  }

  #done(key) {
    this.kept.take(key);
    this.dispatchEvent(new Event("waiting"));
  }

  #giveBack(key) {
    const line = this.kept.take(key);
    if (!line) return;
    const element = document.activeElement;
    if (this.current?.to === line.to && isTextarea(element) && element.value === this.current.text) {
      put(element, joined(line.text, element.value));
    } else {
      const text = joined(line.text, this.kept.drafts.get(line.to) ?? "");
      this.kept.draft(line.to, text);
      this.link.say("draft", { to: line.to, text });
    }
    this.dispatchEvent(new Event("waiting"));
  }
}
