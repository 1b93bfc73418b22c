// The notice that the app cannot be reached, shown above the page in the person's language and
// colours.

/** Milliseconds without the app before the notice is shown: most breaks are shorter. */
const SHOW_AFTER_MS = 1000;

/** Waiting lines that are shown. */
const MAX_SHOWN_LINES = 5;

/** Below a conversation's header, where no control is covered; theme.py has the measures. */
const STYLE = `
  #away { position: fixed; top: 70px; left: 356px; right: 16px; z-index: 2147483647;
    box-sizing: border-box; padding: 10px 16px; border-radius: 12px; pointer-events: none;
    font: 14px/1.4 Roboto, system-ui, sans-serif; color: #264b61; background: #c8e6ff;
    box-shadow: 0 1px 8px rgb(0 0 0 / .3); overflow-wrap: anywhere; }
  #away.dark { color: #c8e6ff; background: #264b61; }
  #away[hidden] { display: none; }
  #away p, #away ul { margin: 0; padding: 0; list-style: none; }
  #away ul { margin-top: 6px; font-size: 13px; }
  #away li { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  @media (max-width: 719px) { #away { left: 16px; } }
`;

/** Sentences by language, embedded in the page (site.py). */
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
    const show = () => { this.#away = true; this.#show(); };
    if (!this.#away) this.#timer = setTimeout(show, SHOW_AFTER_MS);
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
    // Screen readers announce changes in an element with this role.
    element.role = "alert";
    const lines = this.link.kept.lines;
    const sentence = document.createElement("p");
    sentence.textContent = words.away;
    const list = document.createElement("ul");
    list.append(...lines.slice(-MAX_SHOWN_LINES).map((line) => {
      const item = document.createElement("li");
      item.textContent = words.waits.replace("{text}", line.text);
      return item;
    }));
    element.replaceChildren(sentence, ...(lines.length ? [list] : []));
  }
}
