// The page's own script. It runs before Flet's client and provides its WebSocket.

import { Banner } from "./banner.js";
import { Boxes } from "./boxes.js";
import { Keys } from "./keys.js";
import { Kept } from "./kept.js";
import { Link } from "./link.js";
import { keepFocus } from "./moves.js";
import { isReloaded, watchLoading } from "./reload.js";

// Tells the server the person's time zone.
try {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `chat_zone=${encodeURIComponent(zone)}; Path=/; SameSite=Strict`;
} catch (_) { /* then it is known only by what its clocks show now */ }
document.cookie = `chat_offset=${-new Date().getTimezoneOffset()}; Path=/; SameSite=Strict`;

const link = new Link(new Kept());
const boxes = new Boxes(link);
const keys = new Keys(link, boxes);
new Banner(link, boxes);
link.install();
keepFocus();
if (isReloaded()) keys.holdUntilShown();
watchLoading(link);
