// Tells the server in which time zone the person is, before the app connects.
try {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `chat_zone=${encodeURIComponent(zone)}; Path=/; SameSite=Strict`;
} catch (_) { /* then it is the server's zone */ }
