// Keys: none is lost between a click, or a key that leads elsewhere, and the box that it opens.
//
// The app is far away, so for a while the person types for a box that is not there yet. Those keys
// are held. When the app has answered, and Flet's client has shown it and moved the focus, they are
// put into the box that has it.

import { isTextarea, put } from "./boxes.js";

/** Milliseconds: that a box which was declared may take to get the focus; that keys are held. */
const FOCUS = 4000, LONGEST = 20_000;

/** Frames in which Flet's client draws what it was told, and moves the focus. */
const DRAWS = 3, MOVES = 12;

/** Milliseconds: until a box that got the focus is heard; that the focus may come late. */
const ATTACHES = 120, LATE = 1500;

/** Events of Flet's client that lead nowhere. */
const QUIET = new Set([
  ...["change", "focus", "blur", "scroll", "resize", "media_change", "selection_change"],
  ...["app_lifecycle_state_change", "tap_outside", "hover", "size_change", "visible"],
]);

/** Where keys are kept that were held when the page was loaded anew once more. */
const HELD = "chat.held";

const isBox = (element) => isTextarea(element) || element?.tagName === "INPUT";
const frame = () => new Promise((resolve) => {
  // Frames come seldom or never while the page is not seen.
  const late = setTimeout(resolve, 100);
  requestAnimationFrame(() => { clearTimeout(late); resolve(); });
});

export class Keys {
  /** What is held: {keys, from, asked, since}; null: keys go their way. */
  #held = null;

  constructor(link, boxes) {
    this.link = link;
    this.boxes = boxes;
    const listen = (name, handle) => addEventListener(name, handle.bind(this), true);
    listen("keydown", this.#keydown);
    listen("beforeinput", this.#beforeinput);
    listen("pointerdown", this.#pointerdown);
    listen("pointerup", this.#pointerup);
    listen("pointercancel", this.#pointerup);
    listen("focus", this.#windowFocus);
    link.addEventListener("event", (event) => this.#flet(event.detail));
    link.addEventListener("resumed", () => this.#resumed());
    boxes.addEventListener("declared", () => this.#declared());
  }

  /** Holds keys from now on, until the first box is there: the page was loaded anew under them. */
  holdUntilShown() {
    const keys = JSON.parse(sessionStorage.getItem(HELD) ?? "[]");
    sessionStorage.removeItem(HELD);
    const held = (this.#held = { keys, from: document.activeElement, asked: false, settling: false });
    addEventListener("pagehide", () => {
      // What may become a command, with a password in it, is kept nowhere.
      if (this.#held?.keys.length && !this.#held.keys.includes("/")) {
        sessionStorage.setItem(HELD, JSON.stringify(this.#held.keys));
      }
    });
    const shown = () => {
      if (this.#held === held) this.#settle(held);
    };
    addEventListener("focusin", (event) => { if (isBox(event.target)) shown(); }, { once: true });
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
    if (this.#held && event.isTrusted && this.#holds(event)) {
      stop(event);
      return;
    }
    const command = event.ctrlKey || event.metaKey;
    const leads =
      (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) ||
      (command && event.key.toLowerCase() === "k") ||
      (event.key === "Enter" && !isTextarea(event.target)) ||
      (event.key === " " && !isBox(event.target));
    if (leads) this.#begin();
  }

  /** Holds what comes without a key, too: an emoji of a panel, a paste, a word that was spoken. */
  #beforeinput(event) {
    if (!this.#held || !event.isTrusted || event.isComposing || !event.data) return;
    if (event.inputType !== "insertText" && event.inputType !== "insertFromPaste") return;
    this.#held.keys.push(event.data);
    stop(event);
  }

  /** Takes a key for later; false if it is none that writes. */
  #holds(event) {
    const { keys } = this.#held;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
    if (event.keyCode === 229) return false;
    if (event.key === "Backspace") {
      if (!keys.length) return false;
      keys.pop();
    } else if (event.key === "Enter") {
      if (!keys.length && !isTextarea(event.target)) return false;
      if (!event.repeat) keys.push(event.shiftKey ? "\n" : "Enter");
    } else if (event.key.length === 1 || [...event.key].length === 1) {
      // A blank presses the button that has the focus, unless it stands between letters.
      if (event.key === " " && !keys.length && !isBox(event.target)) return false;
      keys.push(event.key);
    } else {
      return false;
    }
    return true;
  }

  #pointerdown(event) {
    if (event.isPrimary) this.#begin();
  }

  /** The window has the keys again, and for a moment Flet's client does not listen. */
  #windowFocus(event) {
    if (event.target !== window) return;
    this.#begin();
    this.#settle(this.#held);
  }

  #pointerup() {
    const held = this.#held;
    // Flet's client tells at once what was clicked. If it says nothing, nothing was.
    if (held) frames(2).then(() => { if (!held.asked) this.#settle(held); });
  }

  /** Flet's client tells that something was done. */
  #flet({ name }) {
    const held = this.#held;
    if (!held || held.asked || QUIET.has(name)) return;
    held.asked = true;
    // All that it tells in this moment goes before the question.
    setTimeout(() => this.link.answer().then(() => this.#settle(held)));
  }

  /** The app shows everything anew, and so the box as it was when it was told of it last. */
  async #resumed() {
    this.#begin();
    const held = this.#held;
    held.asked = true;
    await this.link.answer();
    await frames(DRAWS);
    this.boxes.repair();
    this.#settle(held);
  }

  /** There will be another box, which takes the focus: for a moment keys would go to neither. */
  #declared() {
    if (!this.boxes.current.focus) return;
    if (!this.#held) {
      this.#begin();
      this.#held.asked = true;
    }
    this.#settle(this.#held);
  }

  #begin() {
    const keys = this.#held?.keys ?? [];
    const held = (this.#held = { keys, from: document.activeElement, asked: false, settling: false });
    setTimeout(() => {
      if (this.#held === held && !held.settling) this.#settle(held);
    }, this.link.isUp ? FOCUS : LONGEST);
  }

  /** The app has answered: waits until the focus is where it belongs, and types what was held. */
  async #settle(held) {
    if (this.#held !== held || held.settling) return;
    held.settling = true;
    await frames(DRAWS);
    const isAt = () => isBox(document.activeElement) && document.activeElement !== held.from;
    const box = this.boxes.current;
    if (box?.focus) {
      // What it was declared with is put into it before anything else can be.
      const until = performance.now() + FOCUS;
      const isThere = () => isTextarea(document.activeElement) && isAt() &&
        document.activeElement.value === box.text;
      while (!isThere() && performance.now() < until && this.boxes.current === box) await frame();
      box.focus = false;
    } else {
      for (let n = 0; n < MOVES && !isAt() && held.keys.length; n++) await frame();
    }
    await frames(2);
    if (isAt()) await new Promise((resolve) => setTimeout(resolve, ATTACHES));
    if (this.#held === held) await this.#type(held);
  }

  async #type(held) {
    const { keys } = held, until = performance.now() + LATE;
    while (keys.length && this.#held === held) {
      const element = document.activeElement;
      if (!isBox(element)) {
        if (performance.now() > until) break;
        await frame();
        continue;
      }
      const end = keys.indexOf("Enter");
      const text = keys.splice(0, end < 0 ? keys.length : Math.max(end, 0)).join("");
      if (text) {
        const from = element.selectionStart ?? element.value.length, to = element.selectionEnd ?? from;
        const value = element.value.slice(0, from) + text + element.value.slice(to);
        await this.#put(element, value, from + text.length);
      } else {
        keys.shift();
        press(element, "Enter", 13); // in a box of one line it leads on, and keeps the other keys held
      }
      await new Promise((resolve) => setTimeout(resolve));
    }
    if (this.#held === held) this.#held = null;
  }

  /** Puts a text into a box, again if Flet's client was not listening yet and tells of no change. */
  async #put(element, text, at) {
    for (let tries = 0; tries < 5; tries++) {
      put(element, text, at);
      if (!isTextarea(element) || !this.boxes.current) return;
      for (let n = 0; n < MOVES; n++) {
        if (this.boxes.current.text === text || document.activeElement !== element) return;
        await frame();
      }
    }
  }
}

function stop(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

async function frames(count) {
  for (let n = 0; n < count; n++) await frame();
}

function press(element, key, keyCode) {
  const given = { key, code: key, keyCode, which: keyCode };
  const event = { ...given, bubbles: true, composed: true, cancelable: true };
  element.dispatchEvent(new KeyboardEvent("keydown", event));
  element.dispatchEvent(new KeyboardEvent("keyup", event));
}
