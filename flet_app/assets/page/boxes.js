// The boxes for messages: what stands in each, and what becomes of it.
//
// The app declares a box before Flet's client shows it. From then on Enter and the button that
// sends are handled here, at once, and the app is told a line instead; so nothing that is typed next
// can be mixed up with what was sent, however far away the app is.

import { isCommand, joined } from "./kept.js";

/** Boxes of conversations left that are remembered: Flet's client may still speak of them. */
const MOST = 20;

export const isTextarea = (element) => element?.tagName === "TEXTAREA";
export const isField = (element) => element?.tagName === "INPUT";

/** Gives a box another text, as if somebody had typed it, so that Flet's client takes it. */
export function put(element, text, at = text.length) {
  element.value = text;
  element.setSelectionRange(at, at);
  element.dispatchEvent(new InputEvent("input", { bubbles: true, composed: true }));
}

/**
 * It dispatches `declared` when there will be another box, `waiting` when lines come or go, and
 * `button` when the one that sends was pressed; cancelled, nothing is sent.
 */
export class Boxes extends EventTarget {
  #known = new Map();

  constructor(link) {
    super();
    /**
     * The box that is shown, or null: {id, to, text, told, button, most, focus, hasFocus, before}.
     * `focus`: it shall get the focus. `hasFocus`: it has, as Flet's client tells. `before`: the
     * element that had it until then.
     */
    this.current = null;
    this.link = link;
    this.kept = link.kept;
    link.addEventListener("event", (event) => this.#flet(event));
    link.addEventListener("told", (event) => this.#told(event.detail));
  }

  /** Returns the element of a box; null if it is not shown, or has not the focus. */
  element(box) {
    const element = document.activeElement;
    // Flet's client tells of the focus a moment before the element of the other box goes.
    const isThere = box === this.current && box?.hasFocus && element !== box.before;
    return isThere && isTextarea(element) ? element : null;
  }

  /** Puts back what was written while the app showed the box as it knew it. */
  repair() {
    const element = this.element(this.current);
    if (element && element.value !== this.current.text) put(element, this.current.text);
  }

  /** Changes the text of a box that is no longer shown: it stays with its conversation. */
  keep(box, text) {
    box.text = text;
    this.kept.draft(box.to, text);
    this.link.say("draft", { to: box.to, text });
  }

  /** Sends what is in a box. */
  send(box) {
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
    // At once: the next Enter may come before Flet's client has told of the change.
    box.text = "";
    this.kept.draft(box.to, "");
    // Flet's client is at work on the key; behind it, but before the next key.
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
    // The app may not know the last letters: those events of a box that is gone are lost.
    if (left && left.text !== left.told) this.link.say("draft", { to: left.to, text: left.text });
    const { box: id, to, text, button, most, focus } = told;
    const before = document.activeElement;
    this.current = { id, to, text, told: text, button, most, focus, hasFocus: false, before };
    this.#known.set(id, this.current);
    if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value);
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
      // It has not the focus, so that only the app can.
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
