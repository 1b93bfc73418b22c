// Runs before the app.

// Tells the server in which time zone the person is.
try {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `chat_zone=${encodeURIComponent(zone)}; Path=/; SameSite=Strict`;
} catch (_) { /* then it is known only by what its clocks show now */ }
document.cookie = `chat_offset=${-new Date().getTimezoneOffset()}; Path=/; SameSite=Strict`;

// Loads the page anew when the server says that it is of another start (pages.py: STALE_CODE).
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("close", (event) => {
      if (event.code === 4404) {
        sessionStorage.clear(); // or the page would ask for the same session again
        location.reload();
      }
    });
  }
};
