// Keyboard input: no key is lost between a click, or a key, and the box that it opens.
//
// The app may be distant, so people type before the box exists. Their text is held, and so is each
// further step that may change the conversation: see held.js.

import { isField, isTextarea } from "./boxes.js";
import { ALL, DELETE, END, ENTER, HOME, Held, LEFT, RIGHT, TAB } from "./held.js";

/** Events of Flet's client that never change the conversation. */
const QUIET = new Set([
  ...["change", "focus", "blur", "scroll", "resize", "media_change", "selection_change"],
  ...["app_lifecycle_state_change", "tap_outside", "hover", "size_change", "visible"],
  ...["paste_files", "upload"],
]);

/** Keys that edit a text or move the cursor, and how they are held. */
const EDITS = { Delete: DELETE, Home: HOME, End: END, ArrowLeft: LEFT, ArrowRight: RIGHT };

/** Keys that cannot be held; with Ctrl, and alone. */
const DROPPED_CONTROLS = new Set(["z", "y", "x"]), DROPPED = new Set(["ArrowUp", "ArrowDown"]);

/** Storage of held keys over a further reload of the page. */
const KEPT = "chat.held";

const isBox = (element) => isTextarea(element) || isField(element);

export class Keys {
  /** The step that the pressed pointer may start. */
  #pressed = null;
  /** Whether the person has gone back or forward, and Flet's client has not reported it yet. */
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

  /** Holds keys until the first box exists: the page was reloaded while somebody typed. */
  holdUntilShown() {
    const step = this.held.step();
    for (const key of JSON.parse(sessionStorage.getItem(KEPT) ?? "[]")) this.held.add(key);
    sessionStorage.removeItem(KEPT);
    addEventListener("pagehide", () => {
      const keys = this.held.typed;
      // Text that may become a command with a password is not stored.
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
        // This key ends a conversion of the input method. Safari reveals that only by the key code.
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
    // Flet's client reports the effect of a key at once.
    if (leads && event.isTrusted) this.held.step().closeSoon();
  }

  /** Holds a key; false if the key is not held. */
  #holds(event) {
    const { held } = this, { key, target } = event;
    if (event.isComposing || event.keyCode === 229) return false;
    // AltGr produces text, with or without Ctrl and Alt; so does Option on a Mac.
    const writes = event.getModifierState("AltGraph") ||
      (event.altKey && !event.ctrlKey && key.length === 1 && navigator.platform.startsWith("Mac"));
    if (event.altKey && !writes) return false;
    // Editing keys are meant for the coming box, not for the one about to be removed.
    const goes = (held.isLed && isBox(target)) || held.hasKeys;
    if ((event.ctrlKey || event.metaKey) && !writes) {
      // A paste comes with its own event, which only this script handles.
      if (goes && key.toLowerCase() === "v") event.stopImmediatePropagation();
      if (goes && key.toLowerCase() === "a") held.add(ALL);
      return goes && (key.toLowerCase() === "a" || DROPPED_CONTROLS.has(key.toLowerCase()));
    }
    if (key === "Backspace") {
      return held.back();
    } else if (key === "Enter") {
      if (!held.hasKeys && !isTextarea(target)) return false;
      // Composed text is in the previous box and must not be sent from another one.
      if (!event.repeat && !(held.isComposed && !held.hasKeys)) held.add(event.shiftKey ? "\n" : ENTER);
    } else if (key === "Tab") {
      if (!held.hasKeys || event.shiftKey) return false;
      held.add(TAB);
    } else if (key.length === 1 || [...key].length === 1) {
      // Space presses the focused button, unless letters were typed before.
      if (key === " " && !held.hasKeys && !isBox(target)) return false;
      held.add(key);
    } else if (goes && key in EDITS && !event.shiftKey) {
      held.add(EDITS[key]);
    } else {
      return goes && (key in EDITS || DROPPED.has(key));
    }
    return true;
  }

  /** Also holds text without keys: emoji of a panel, dictated words. */
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
    // A picture can be pasted only into an existing box.
    if (text || this.held.isLed) stop(event);
  }

  #composition() {
    if (this.held.isLed) this.held.isComposed = true;
  }

  #pointerdown(event) {
    if (!event.isPrimary) return;
    this.#pressed?.close();
    this.#pressed = null;
    // A click into the box with the focus only moves the cursor.
    if (event.target === this.boxes.element(this.boxes.current)) return;
    this.#pressed = this.held.step();
  }

  #pointerup() {
    // Flet's client reports at once what was clicked; no report means no control.
    this.#pressed?.closeSoon();
    this.#pressed = null;
  }

  #popstate() {
    this.#went = true;
    this.held.step().closeSoon();
  }

  /** The send button: held text for a coming box is not in the present one. */
  #button(event) {
    if (this.held.isBehind) {
      event.preventDefault();
      this.held.add(ENTER);
    } else {
      this.held.emptied();
    }
  }

  /** The window has the keyboard focus again; for a moment Flet's client does not listen. */
  #windowFocus(event) {
    if (event.target === window) this.held.begin();
  }

  /** Handles an event of Flet's client. */
  #flet(event) {
    if (event.defaultPrevented) return;
    const { name, packet } = event.detail;
    // Flet's client also reports routes that the app has set.
    if (!this.held.isOn || QUIET.has(name) || (name === "route_change" && !this.#went)) return;
    if (name === "route_change") this.#went = false;
    if (!this.held.takes(packet)) event.preventDefault();
  }
}

function stop(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}
