// Holds input while an answer of the app is pending: typed text and steps, in order.
//
// A step may change the open conversation: a click, Alt+Up, Enter in a field. A step goes to the
// app once the text typed before it is in its box. When the app has answered, and Flet's client has
// drawn the answer and moved the focus, the text typed after the step goes into the box with the
// focus. So text typed for one conversation never reaches another one, however slow the app is.

import { isField, isTextarea, put } from "./boxes.js";

/** Codes of held keys that write no text; typed text never has these characters. */
export const ENTER = "\r", TAB = "\v", BACK = "\b", DELETE = "\x7f", ALL = "\x01";
export const HOME = "\x02", END = "\x03", LEFT = "\x04", RIGHT = "\x05";

/** Milliseconds for a declared box to get the focus, and for a step to end. */
const FOCUS_MS = 20_000, MAX_STEP_MS = 60_000;

/** Animation frames within which Flet's client draws an update and moves the focus. */
const DRAW_FRAMES = 3, MOVE_FRAMES = 12;

/** Milliseconds until Flet's client hears a newly focused box; delay of a late focus. */
const ATTACH_MS = 120, LATE_MS = 1500;

const isBox = (element) => isTextarea(element) || isField(element);
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const frame = () => new Promise((resolve) => {
  // Animation frames are rare or absent while the page is hidden.
  const late = setTimeout(resolve, 100);
  requestAnimationFrame(() => { clearTimeout(late); resolve(); });
});

async function frames(count) {
  for (let n = 0; n < count; n++) await frame();
}

/** An action that may change the open conversation. Open until Flet's client has reported it. */
class Step {
  /** Packets of Flet's client for this step, waiting for their turn. */
  packets = [];
  /** Resolves to whether the app has answered; null if nothing was sent. */
  answer = null;
  isOpen = true;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.close = () => { this.isOpen = false; resolve(); };
    });
    setTimeout(this.close, MAX_STEP_MS);
  }

  /** Closes the step after the events of this moment. */
  closeSoon() {
    frames(2).then(this.close);
  }
}

export class Held {
  /** Held characters and steps; null while keys are not held. */
  #queue = null;
  /** Whether keys are being replayed: no step may overtake them. */
  #isWriting = false;
  /** The held key that is being replayed. */
  #pressed = null;
  /** The element that had the focus before the hold. */
  #from = null;

  constructor(link, boxes) {
    this.link = link;
    this.boxes = boxes;
    /** Whether an input method wrote into the previous box. */
    this.isComposed = false;
  }

  get isOn() {
    return this.#queue !== null;
  }

  /** Whether a step is pending. */
  get isLed() {
    return this.#queue?.some((one) => one instanceof Step) ?? false;
  }

  /** Whether text is held. */
  get hasKeys() {
    return this.typed.length > 0;
  }

  get typed() {
    return (this.#queue ?? []).filter((one) => typeof one === "string");
  }

  /** Whether anything is pending, apart from a step that begins just now. */
  get isBehind() {
    return this.#isWriting || (this.#queue ?? []).some((one) => !one.isOpen);
  }

  /** Holds keys until the focus has settled. */
  begin() {
    if (this.#queue) return;
    this.#queue = [];
    this.#from = document.activeElement;
    this.isComposed = false;
    this.#run(this.#queue);
  }

  /** Begins a step. */
  step() {
    this.begin();
    const step = new Step();
    this.#queue.push(step);
    return step;
  }

  add(key) {
    this.#queue.push(key);
  }

  /** Holds a text that comes without keys. */
  write(text) {
    const typed = text.replace(/\r\n?/g, "\n").replaceAll(TAB, " ");
    for (const character of typed) if (writes(character)) this.#queue.push(character);
  }

  /** Deletes the last held character, or one of the coming box; false if there is none. */
  back() {
    const last = this.#queue.at(-1);
    if (typeof last === "string" && writes(last)) {
      this.#queue.pop();
    } else if (this.isLed || this.hasKeys) {
      this.#queue.push(BACK);
    } else {
      return false;
    }
    return true;
  }

  /** Handles an event of Flet's client for a step; true if it may go to the app at once. */
  takes(packet) {
    if (this.#pressed?.isOpen) {
      this.#ask(this.#pressed);
      return true;
    }
    const step = this.#open();
    const before = this.#queue.slice(0, this.#queue.indexOf(step) + 1);
    const isNext = before.every((one) => one instanceof Step && !one.packets.length);
    if (!isNext || this.#isWriting) {
      step.packets.push(packet);
      return false;
    }
    this.#ask(step);
    return true;
  }

  /** The app redraws everything, including the box with the text it knew last. */
  resumed() {
    const step = this.step();
    step.answer = this.link.answer().then(async () => {
      await frames(DRAW_FRAMES);
      this.boxes.repair();
      return true;
    });
    step.close();
  }

  /** The text of the box was sent. If the browser cannot empty the box, the app makes a new one. */
  emptied() {
    const step = this.#open();
    this.#ask(step);
    step.answer = step.answer.then(() => true);
  }

  /** Returns the step that an event of Flet's client belongs to. */
  #open() {
    const open = this.#queue?.findLast((one) => one.isOpen);
    if (open) return open;
    const step = this.step();
    step.close();
    return step;
  }

  #ask(step) {
    this.#from = document.activeElement;
    // All events of this moment precede the question.
    step.answer = pause(0).then(() => this.link.answer());
  }

  async #run(queue) {
    await null; // let the caller fill the queue first
    // Whether the outcome of the steps is known; not so if the connection broke.
    let isSure = true;
    try {
      do {
        while (queue[0] instanceof Step) {
          isSure = await this.#taken(queue[0], isSure);
          queue.shift();
        }
        await this.#settled(queue);
        this.#isWriting = true;
        await this.#written(queue, isSure);
        this.#isWriting = false;
      } while (queue.length || this.boxes.current?.focus);
    } finally {
      // After any error, keys are no longer held.
      this.#queue = null;
      this.#isWriting = false;
    }
  }

  /** Waits for the answer to a step; returns whether its outcome is known. */
  async #taken(step, isSure) {
    await step.closed;
    if (step.packets.length && !isSure) return false;
    if (step.packets.length) {
      for (const packet of step.packets.splice(0)) this.link.send(packet);
      this.#ask(step);
    }
    for (let answer = null; answer !== step.answer; ) {
      answer = step.answer;
      isSure = await answer;
    }
    return isSure;
  }

  /** Waits until Flet's client has drawn the app's changes, and the focus has settled. */
  async #settled(queue) {
    await frames(DRAW_FRAMES);
    const { boxes } = this, until = performance.now() + FOCUS_MS;
    const isAt = () => isBox(document.activeElement) && document.activeElement !== this.#from;
    while (boxes.current?.focus) {
      // The declared text goes into the box first.
      const box = boxes.current, element = boxes.element(box);
      const isThere = element?.value === box.text;
      const isElsewhere = isField(document.activeElement) && document.activeElement !== box.before;
      if (isThere || isElsewhere || performance.now() > until) box.focus = false;
      else await frame();
    }
    for (let n = 0; n < MOVE_FRAMES && !isAt() && typeof queue[0] === "string"; n++) await frame();
    await frames(2);
    if (isAt()) await pause(ATTACH_MS);
  }

  /** Writes the held text, up to the next step, into the box with the focus. */
  async #written(queue, isSure) {
    const until = performance.now() + LATE_MS, { boxes } = this;
    let box = null;
    while (typeof queue[0] === "string") {
      const element = document.activeElement;
      if (!box && boxes.element(boxes.current)) box = boxes.current;
      const isShown = box !== null && box === boxes.current;
      if (isShown ? boxes.element(box) : box || isField(element)) {
        await this.#next(queue, box, isSure);
      } else if (performance.now() > until) {
        queue.shift(); // nothing on the screen accepts text
      } else {
        await frame();
      }
    }
  }

  /**
   * Writes the text before the next held key, or replays that key.
   *
   * With an unknown outcome nothing is sent: the text may be meant for somebody else.
   */
  async #next(queue, box, isSure) {
    if (!isSure && queue[0] === ENTER) queue[0] = "\n";
    const end = queue.findIndex((one) => one instanceof Step || one === ENTER || one === TAB);
    const keys = queue.splice(0, end < 0 ? queue.length : Math.max(end, 1));
    const element = document.activeElement;
    if (keys[0] === ENTER && box) {
      this.boxes.send(box);
    } else if (keys[0] === ENTER || keys[0] === TAB) {
      this.#press(queue, ...(keys[0] === ENTER ? ["Enter", 13] : ["Tab", 9]));
    } else if (box && box !== this.boxes.current) {
      this.boxes.keep(box, edited(box.text, box.text.length, box.text.length, keys).text);
    } else {
      const { value } = element, from = element.selectionStart ?? value.length;
      const after = edited(value, from, element.selectionEnd ?? from, keys);
      const isHeard = await this.#put(element, box, after);
      if (!isHeard) queue.unshift(...keys);
    }
    await pause(0);
  }

  /** Replays a key, which may start a step before the other held input. */
  #press(queue, key, keyCode) {
    const step = this.#pressed = new Step();
    queue.unshift(step);
    const given = { key, code: key, keyCode, which: keyCode };
    const event = { ...given, bubbles: true, composed: true, cancelable: true };
    for (const type of ["keydown", "keyup"]) {
      document.activeElement.dispatchEvent(new KeyboardEvent(type, event));
    }
    step.closeSoon();
  }

  /**
   * Writes a text into a box; repeats it if Flet's client missed the change.
   *
   * Returns false if the box was removed meanwhile, together with the text.
   */
  async #put(element, box, { text, from, to }) {
    for (let tries = 0; tries < 5; tries++) {
      put(element, text, from, to);
      if (!box) return true;
      for (let n = 0; n < MOVE_FRAMES; n++) {
        if (box.text === text) return true;
        if (this.boxes.element(box) !== element) return false;
        await frame();
      }
    }
    return true;
  }
}

/** Whether a held key writes text. */
const writes = (key) => (key >= " " && key !== DELETE) || key === "\n" || key === "\t";

/** Returns a text and its selection after applying keys to them, as a box does. */
function edited(text, from, to, keys) {
  const previous = () => from - ([...text.slice(0, from)].at(-1)?.length ?? 0);
  const next = () => to + ([...text.slice(to)][0]?.length ?? 0);
  const isEmpty = () => from === to;
  for (const key of keys) {
    if (key === ALL) [from, to] = [0, text.length];
    else if (key === HOME) from = to = text.lastIndexOf("\n", from - 1) + 1;
    else if (key === END) from = to = (text + "\n").indexOf("\n", to);
    else if (key === LEFT) from = to = isEmpty() ? previous() : from;
    else if (key === RIGHT) from = to = isEmpty() ? next() : to;
    else {
      if (key === BACK && isEmpty()) from = previous();
      else if (key === DELETE && isEmpty()) to = next();
      const typed = writes(key) ? key : "";
      text = text.slice(0, from) + typed + text.slice(to);
      from = to = from + typed.length;
    }
  }
  return { text, from, to };
}
