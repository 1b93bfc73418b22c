// Reloads the page once the app answers.

/** The key of this tab's counter of failed reloads. */
const COUNT = "chat.reloaded";

/** Failed reloads after which the page is left as it is. */
const MAX_RELOADS = 20;

/** Milliseconds between checks for the app. */
const CHECK_MS = 1000;

/** Whether the page has reloaded itself. */
export const isReloaded = () => sessionStorage.getItem(COUNT) !== null;

/** Reloads the page as soon as the app answers: it may have stopped again. */
export async function reload() {
  while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
  sessionStorage.setItem(COUNT, Number(sessionStorage.getItem(COUNT)) + 1);
  location.reload();
}

/**
 * Reloads the page if a part of it fails to load, until Flet's client starts.
 *
 * The engine consists of several files, and the app may stop between them. The page would then stay
 * empty for ever.
 */
export function watchLoading(link) {
  const stop = new AbortController(), { signal } = stop;
  link.addEventListener("begun", () => {
    stop.abort();
    sessionStorage.removeItem(COUNT);
  }, { signal });
  const failed = (event) => {
    const { type, target } = event;
    // Flet's client requests a file from another host. The policy refuses it, and the client works
    // without.
    if (type === "error" && !(target.src ?? target.href ?? "").startsWith(location.origin)) return;
    event.preventDefault();
    stop.abort();
    if (Number(sessionStorage.getItem(COUNT)) >= MAX_RELOADS) return;
    link.dispatchEvent(new Event("down"));
    setTimeout(reload, CHECK_MS);
  };
  addEventListener("unhandledrejection", failed, { signal });
  addEventListener("error", failed, { signal, capture: true });
}

const isThere = () =>
  fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok, () => false);
