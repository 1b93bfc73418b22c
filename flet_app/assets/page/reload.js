// Loads the page anew, when there is an app to load it from.

/** Where this tab counts how often it was loaded anew without coming to anything. */
const COUNT = "chat.reloaded";

/** Times after which a page that cannot begin is left as it is. */
const MOST = 20;

/** Milliseconds between questions whether the app is there. */
const PAUSE = 1000;

/** Whether the page was loaded anew by itself. */
export const isReloaded = () => sessionStorage.getItem(COUNT) !== null;

/** Loads the page anew as soon as the app answers: it may have gone away again. */
export async function reload() {
  while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  sessionStorage.setItem(COUNT, Number(sessionStorage.getItem(COUNT)) + 1);
  location.reload();
}

/**
 * Loads the page anew if a part of it cannot be loaded, until Flet's client begins.
 *
 * The engine comes in several files, and the app may go away between them. That would leave a page
 * that stays empty for ever.
 */
export function watchLoading(link) {
  const stop = new AbortController(), { signal } = stop;
  link.addEventListener("begun", () => {
    stop.abort();
    sessionStorage.removeItem(COUNT);
  }, { signal });
  const failed = (event) => {
    const { type, target } = event;
    // Flet's client asks for a file of somebody else's, which the page refuses, and goes without.
    if (type === "error" && !(target.src ?? target.href ?? "").startsWith(location.origin)) return;
    event.preventDefault();
    stop.abort();
    if (Number(sessionStorage.getItem(COUNT)) >= MOST) return;
    link.dispatchEvent(new Event("down"));
    setTimeout(reload, PAUSE);
  };
  addEventListener("unhandledrejection", failed, { signal });
  addEventListener("error", failed, { signal, capture: true });
}

const isThere = () =>
  fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok, () => false);
