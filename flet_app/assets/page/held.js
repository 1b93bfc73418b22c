// What was done while the app had not answered yet, in its order: what was typed, and steps.
//
// A step is what may lead elsewhere: a click, Alt+Up, Enter in a field. It goes to the app once all
// that was typed before it is in its box. When the app has answered, and Flet's client has shown it
// and moved the focus, what was typed behind the step is put into the box that then has it. So what
// was typed for one conversation comes into no other one, however slow the app is.

import { isField, isTextarea, put } from "./boxes.js";

/** Keys that are pressed, and do not write; what is written has none of these characters. */
export const ENTER = "\r", BACK = "\b", TAB = "\v";

/** Milliseconds: that a box which was declared may take to get the focus; that a step may last. */
const FOCUS = 20_000, LONGEST = 60_000;

/** Frames in which Flet's client draws what it was told, and moves the focus. */
const DRAWS = 3, MOVES = 12;

/** Milliseconds: until a box that got the focus is heard; that the focus may come late. */
const ATTACHES = 120, LATE = 1500;

const isBox = (element) => isTextarea(element) || isField(element);
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const frame = () => new Promise((resolve) => {
  // Frames come seldom or never while the page is not seen.
  const late = setTimeout(resolve, 100);
  requestAnimationFrame(() => { clearTimeout(late); resolve(); });
});

async function frames(count) {
  for (let n = 0; n < count; n++) await frame();
}

/** Something that may lead elsewhere. It is open until Flet's client has told what it was. */
class Step {
  /** What Flet's client told, while it waits for its turn. */
  packets = [];
  /** Resolves when the app has answered, to whether it has; null: nothing was told. */
  answer = null;
  isOpen = true;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.close = () => { this.isOpen = false; resolve(); };
    });
    setTimeout(this.close, LONGEST);
  }

  /** Closes it behind what is told at once. */
  closeSoon() {
    frames(2).then(this.close);
  }
}

export class Held {
  /** Characters and steps; null: keys go their way. */
  #queue = null;
  /** Keys are being written: no step may overtake them. */
  #isWriting = false;
  /** A key that was held and is pressed now. */
  #pressed = null;
  /** The element that had the focus before. */
  #from = null;

  constructor(link, boxes) {
    this.link = link;
    this.boxes = boxes;
    /** Whether an input method wrote into the box that was there. */
    this.isComposed = false;
  }

  get isOn() {
    return this.#queue !== null;
  }

  /** Whether a step is under way. */
  get isLed() {
    return this.#queue?.some((one) => one instanceof Step) ?? false;
  }

  /** Whether something was typed. */
  get hasKeys() {
    return this.typed.length > 0;
  }

  get typed() {
    return (this.#queue ?? []).filter((one) => typeof one === "string");
  }

  /** Whether something is under way, beside a step that begins just now. */
  get isBehind() {
    return this.#isWriting || (this.#queue ?? []).some((one) => !one.isOpen);
  }

  /** Holds keys from now on, until the focus is where it belongs. */
  begin() {
    if (this.#queue) return;
    this.#queue = [];
    this.#from = document.activeElement;
    this.isComposed = false;
    this.#run(this.#queue);
  }

  /** Something begins that may lead elsewhere. */
  step() {
    this.begin();
    const step = new Step();
    this.#queue.push(step);
    return step;
  }

  add(key) {
    this.#queue.push(key);
  }

  /** Takes a text that comes without keys. */
  write(text) {
    const written = text.replace(/\r\n?/g, "\n").replaceAll(BACK, "").replaceAll(TAB, " ");
    for (const character of written) this.#queue.push(character);
  }

  /** Takes the last character back, or one of the box to come; false if there is no such. */
  back() {
    const last = this.#queue.at(-1);
    if (typeof last === "string" && last !== BACK && last !== ENTER && last !== TAB) {
      this.#queue.pop();
    } else if (this.isLed || this.hasKeys) {
      this.#queue.push(BACK);
    } else {
      return false;
    }
    return true;
  }

  /** Takes what Flet's client tells of a step; true if it may go to the app at once. */
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

  /** The app shows everything anew, and so the box as it was when it was told of it last. */
  resumed() {
    const step = this.step();
    step.answer = this.link.answer().then(async () => {
      await frames(DRAWS);
      this.boxes.repair();
      return true;
    });
    step.close();
  }

  /** What was in the box was sent: if the browser cannot empty it, the app makes a new one. */
  emptied() {
    const step = this.#open();
    this.#ask(step);
    step.answer = step.answer.then(() => true);
  }

  /** Returns the step of which Flet's client tells. */
  #open() {
    const open = this.#queue?.findLast((one) => one.isOpen);
    if (open) return open;
    const step = this.step();
    step.close();
    return step;
  }

  #ask(step) {
    this.#from = document.activeElement;
    // All that is told in this moment goes before the question.
    step.answer = pause(0).then(() => this.link.answer());
  }

  async #run(queue) {
    await null; // what it was begun for comes into it
    // Whether it is known where the steps have led: not if the connection broke.
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
      // Whatever went wrong, keys go their way again.
      this.#queue = null;
      this.#isWriting = false;
    }
  }

  /** Waits until a step was answered; returns whether it is known where one is. */
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

  /** Waits until Flet's client has shown what the app changed, and the focus is where it belongs. */
  async #settled(queue) {
    await frames(DRAWS);
    const { boxes } = this, until = performance.now() + FOCUS;
    const isAt = () => isBox(document.activeElement) && document.activeElement !== this.#from;
    while (boxes.current?.focus) {
      // What it was declared with is put into it before anything else can be.
      const box = boxes.current, element = boxes.element(box);
      const isThere = element?.value === box.text;
      const isElsewhere = isField(document.activeElement) && document.activeElement !== box.before;
      if (isThere || isElsewhere || performance.now() > until) box.focus = false;
      else await frame();
    }
    for (let n = 0; n < MOVES && !isAt() && typeof queue[0] === "string"; n++) await frame();
    await frames(2);
    if (isAt()) await pause(ATTACHES);
  }

  /** Puts what was typed, up to the next step, into the box that has the focus. */
  async #written(queue, isSure) {
    const until = performance.now() + LATE, { boxes } = this;
    let box = null;
    while (typeof queue[0] === "string") {
      const element = document.activeElement;
      if (!box && boxes.element(boxes.current)) box = boxes.current;
      const isShown = box !== null && box === boxes.current;
      if (isShown ? boxes.element(box) : box || isField(element)) {
        await this.#next(queue, box, isSure);
      } else if (performance.now() > until) {
        queue.shift(); // nothing on the screen takes it
      } else {
        await frame();
      }
    }
  }

  /**
   * Writes what stands before the next key that is pressed; or presses that.
   *
   * If it is not known where one is, nothing is sent: it may be for somebody else.
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
      this.boxes.keep(box, written(box.text, keys));
    } else {
      const { value } = element;
      const from = element.selectionStart ?? value.length, to = element.selectionEnd ?? from;
      // Backspace takes what is marked.
      const before = written(value.slice(0, from), from < to && keys[0] === BACK ? keys.slice(1) : keys);
      const isHeard = await this.#put(element, box, before + value.slice(to), before.length);
      if (!isHeard) queue.unshift(...keys);
    }
    await pause(0);
  }

  /** Presses a key, which may lead elsewhere before the others that are held. */
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
   * Puts a text into a box, again if Flet's client was not listening yet and tells of no change.
   *
   * Returns false if the box has gone meanwhile, and the text with it.
   */
  async #put(element, box, text, at) {
    for (let tries = 0; tries < 5; tries++) {
      put(element, text, at);
      if (!box) return true;
      for (let n = 0; n < MOVES; n++) {
        if (box.text === text) return true;
        if (this.boxes.element(box) !== element) return false;
        await frame();
      }
    }
    return true;
  }
}

/** Returns a text to which keys were added. */
function written(text, keys) {
  for (const key of keys) text = key === BACK ? [...text].slice(0, -1).join("") : text + key;
  return text;
}
