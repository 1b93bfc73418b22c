// Keys: none is lost between a click, or a key that leads elsewhere, and the box that it opens.
//
// The app is far away, so for a while the person types for a box that is not there yet. What they
// type then is held, and so is each further step that may lead elsewhere: see held.js.

import { isField, isTextarea } from "./boxes.js";
import { ENTER, Held, TAB } from "./held.js";

/** Events of Flet's client that lead nowhere. */
const QUIET = new Set([
  ...["change", "focus", "blur", "scroll", "resize", "media_change", "selection_change"],
  ...["app_lifecycle_state_change", "tap_outside", "hover", "size_change", "visible"],
  ...["paste_files", "upload"],
]);

/** Keys that change a text or where one writes in it, beside those that write; with Ctrl or alone. */
const EDITS = new Set(["z", "y", "x"]);
const MOVES = new Set(["Delete", "Home", "End", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);

/** Where keys are kept that were held when the page was loaded anew once more. */
const KEPT = "chat.held";

const isBox = (element) => isTextarea(element) || isField(element);

export class Keys {
  /** What the pointer that is down may lead to. */
  #pressed = null;
  /** Whether the person has gone back or forth, and Flet's client has not told of it. */
  #went = false;

  constructor(link, boxes) {
    this.boxes = boxes;
    this.held = new Held(link, boxes);
    const listen = (name, handle) => addEventListener(name, handle.bind(this), true);
    listen("keydown", this.#keydown);
    listen("beforeinput", this.#beforeinput);
    listen("paste", this.#paste);
    listen("compositionstart", this.#composition);
    listen("pointerdown", this.#pointerdown);
    listen("pointerup", this.#pointerup);
    listen("pointercancel", this.#pointerup);
    listen("popstate", this.#popstate);
    listen("focus", this.#windowFocus);
    link.addEventListener("event", (event) => this.#flet(event));
    link.addEventListener("resumed", () => this.held.resumed());
    boxes.addEventListener("declared", () => { if (boxes.current.focus) this.held.begin(); });
    boxes.addEventListener("button", (event) => this.#button(event));
  }

  /** Holds keys from now on, until the first box is there: the page was loaded anew under them. */
  holdUntilShown() {
    const step = this.held.step();
    for (const key of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) this.held.add(key);
    sessionStorage.removeItem(KEPT);
    addEventListener("pagehide", () => {
      const keys = this.held.typed;
      // What may become a command, with a password in it, is kept nowhere.
      if (keys.length && !keys.includes("/")) sessionStorage.setItem(KEPT, JSON.stringify(keys));
    });
    const shown = (event) => {
      if (!isBox(event.target)) return;
      removeEventListener("focusin", shown);
      step.close();
    };
    addEventListener("focusin", shown);
  }

  #keydown(event) {
    if (event.key === "Enter" || event.code === "NumpadEnter") {
      if (event.isComposing || event.keyCode === 229) {
        // It ends a conversion of the input method. Safari says so only by the number.
        event.stopImmediatePropagation();
        return;
      }
      if (event.repeat && isTextarea(event.target) && !event.shiftKey) {
        stop(event);
        return;
      }
    }
    if (this.held.isOn && event.isTrusted && this.#holds(event)) {
      stop(event);
      return;
    }
    const command = event.ctrlKey || event.metaKey;
    const leads =
      (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) ||
      (command && event.key.toLowerCase() === "k") ||
      (event.key === "Enter" && !isTextarea(event.target)) ||
      (event.key === " " && !isBox(event.target));
    // Flet's client tells at once what a key led to.
    if (leads && event.isTrusted) this.held.step().closeSoon();
  }

  /** Takes a key for later; false if it goes its way. */
  #holds(event) {
    const { held } = this, { key, target } = event;
    if (event.isComposing || event.keyCode === 229) return false;
    // AltGr writes, with Ctrl and Alt or without; so does Option on a Mac.
    const writes = event.getModifierState("AltGraph") ||
      (event.altKey && !event.ctrlKey && key.length === 1 && navigator.platform.startsWith("Mac"));
    if (event.altKey && !writes) return false;
    // What edits the box that is about to go was meant for the one that comes.
    const goes = held.isLed && isBox(target);
    if ((event.ctrlKey || event.metaKey) && !writes) {
      // What is pasted comes with an event of its own, for us alone.
      if (goes && key.toLowerCase() === "v") event.stopImmediatePropagation();
      return goes && EDITS.has(key.toLowerCase());
    }
    if (key === "Backspace") {
      return held.back();
    } else if (key === "Enter") {
      if (!held.hasKeys && !isTextarea(target)) return false;
      // What was composed meanwhile is in the box that was there, and is not sent from another one.
      if (!event.repeat && !(held.isComposed && !held.hasKeys)) held.add(event.shiftKey ? "\n" : ENTER);
    } else if (key === "Tab") {
      if (!held.hasKeys || event.shiftKey) return false;
      held.add(TAB);
    } else if (key.length === 1 || [...key].length === 1) {
      // A blank presses the button that has the focus, unless it stands between letters.
      if (key === " " && !held.hasKeys && !isBox(target)) return false;
      held.add(key);
    } else {
      return goes && MOVES.has(key);
    }
    return true;
  }

  /** Holds what comes without a key, too: an emoji of a panel, a word that was spoken. */
  #beforeinput(event) {
    if (!this.held.isOn || !event.isTrusted || event.isComposing || !event.data) return;
    if (event.inputType !== "insertText") return;
    this.held.write(event.data);
    stop(event);
  }

  #paste(event) {
    if (!this.held.isOn || !event.isTrusted) return;
    const text = event.clipboardData?.getData("text/plain");
    if (text) this.held.write(text);
    // A picture can only be pasted into a box that is there.
    if (text || this.held.isLed) stop(event);
  }

  #composition() {
    if (this.held.isLed) this.held.isComposed = true;
  }

  #pointerdown(event) {
    if (!event.isPrimary) return;
    this.#pressed?.close();
    this.#pressed = this.held.step();
  }

  #pointerup() {
    // Flet's client tells at once what was clicked. If it says nothing, nothing was.
    this.#pressed?.closeSoon();
    this.#pressed = null;
  }

  #popstate() {
    this.#went = true;
    this.held.step().closeSoon();
  }

  /** The button that sends: what was typed for a box that is not there yet is not in this one. */
  #button(event) {
    if (this.held.isBehind) {
      event.preventDefault();
      this.held.add(ENTER);
    } else {
      this.held.emptied();
    }
  }

  /** The window has the keys again, and for a moment Flet's client does not listen. */
  #windowFocus(event) {
    if (event.target === window) this.held.begin();
  }

  /** Flet's client tells that something was done. */
  #flet(event) {
    if (event.defaultPrevented) return;
    const { name, packet } = event.detail;
    // Of the routes, it also tells those that it was given by the app.
    if (!this.held.isOn || QUIET.has(name) || (name === "route_change" && !this.#went)) return;
    if (name === "route_change") this.#went = false;
    if (!this.held.takes(packet)) event.preventDefault();
  }
}

function stop(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}
