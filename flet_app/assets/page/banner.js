// Says that the app is away, over what the page still shows, in the person's language and colours.

/** Milliseconds without the app before it is said: most breaks are shorter. */
const PATIENCE = 1000;

/** Lines that are shown. */
const SHOWN = 5;

const STYLE = `
  #away { position: fixed; inset: 0 0 auto; z-index: 2147483647; pointer-events: none;
    font: 14px/1.4 Roboto, system-ui, sans-serif; color: var(--words); background: var(--ground);
    padding: 10px 16px calc(10px); box-shadow: 0 1px 6px rgb(0 0 0 / .3); box-sizing: border-box;
    --words: #3d2e00; --ground: #ffe08d; }
  #away[hidden] { display: none; }
  #away.dark { --words: #ffe08d; --ground: #574500; }
  #away b { font-weight: 600; }
  #away ul { margin: 6px 0 0; padding: 0; list-style: none; }
  #away li { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; opacity: .9; }
`;

/** Sentences by language, which the page brings (site.py). */
const WORDS = JSON.parse(document.getElementById("away-words").textContent);

export class Banner {
  #timer = 0;
  #away = false;

  constructor(link, boxes) {
    this.link = link;
    this.language = (navigator.languages ?? []).map((tag) => tag.split("-")[0])
      .find((tag) => tag in WORDS) ?? Object.keys(WORDS)[0];
    this.colours = "system";
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.#show());
    link.addEventListener("down", () => this.#down());
    link.addEventListener("up", () => this.#up());
    link.addEventListener("told", ({ detail }) => {
      if (detail.kind === "look") this.#look(detail);
    });
    boxes.addEventListener("waiting", () => this.#show());
  }

  #look({ language, colours }) {
    if (language in WORDS) this.language = document.documentElement.lang = language;
    this.colours = colours;
    this.#show();
  }

  #down() {
    clearTimeout(this.#timer);
    if (!this.#away) this.#timer = setTimeout(() => { this.#away = true; this.#show(); }, PATIENCE);
  }

  #up() {
    clearTimeout(this.#timer);
    this.#away = false;
    this.#show();
  }

  #element() {
    const found = document.getElementById("away");
    if (found) return found;
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
    const made = document.createElement("div");
    made.id = "away";
    made.hidden = true;
    document.body.append(made);
    return made;
  }

  #show() {
    const element = this.#element(), words = WORDS[this.language];
    element.hidden = !this.#away;
    if (!this.#away) {
      element.replaceChildren();
      return;
    }
    const isDark = this.colours === "system" ? this.dark.matches : this.colours === "dark";
    element.className = isDark ? "dark" : "";
    element.lang = this.language;
    // Screen readers announce what comes into an element that has this role.
    element.role = "alert";
    const lines = this.link.kept.lines;
    const sentence = document.createElement("b");
    sentence.textContent = words.away;
    const list = document.createElement("ul");
    list.append(...lines.slice(-SHOWN).map((line) => {
      const item = document.createElement("li");
      item.textContent = words.waits.replace("{text}", line.text);
      return item;
    }));
    element.replaceChildren(sentence, ...(lines.length ? [list] : []));
  }
}
