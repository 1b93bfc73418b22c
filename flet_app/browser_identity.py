"""The identity of a browser, from its request and from our cookie."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import unquote

from starlette.requests import HTTPConnection
from starlette.types import Scope

from flet_app.host import language_of, local_zone
from flet_app.zones import zone_of
from shared.addresses import network
from shared.settings import Network, client_address, is_address, is_trusted

BROWSER_COOKIE = "chat_browser"
"""Cookie: 256 random bits that identify a browser. The cookie signs nobody in. It denies others the
pages and files of this browser, even if they have learnt the addresses."""
SECURE_BROWSER_COOKIE = f"__Host-{BROWSER_COOKIE}"
"""The same over https: neither a page of a sibling domain nor a network attacker can set it."""
ZONE_COOKIE = "chat_zone"
"""Cookie: the browser's time zone, set by the page (assets/page/start.js)."""
OFFSET_COOKIE = "chat_offset"
"""Cookie: the browser's present offset from UTC in minutes, for zones that are unknown here."""
VISITOR_KEY = "chat.visitor"
"""Key of the visitor in the ASGI scope."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class BrowserIdentity:
    """A browser as the limits and the app see it."""

    browser: str
    """The browser's cookie; empty if there is none."""
    address: str
    """The browser's IP address; empty if a proxy hides the address."""
    network: str
    """The unit that limits count: the IPv4 address, or the /64 of an IPv6 address."""
    secure: bool
    """Whether the request came over https."""
    language: str
    zone: tzinfo


def visitor_of(scope: Scope, trusted: Sequence[Network]) -> BrowserIdentity:
    """Return the visitor that a request or a WebSocket handshake comes from."""
    connection = HTTPConnection(scope)
    headers, cookies = connection.headers, connection.cookies
    peer = scope["client"][0] if scope.get("client") else ""
    address = client_address(peer, headers.getlist("x-forwarded-for"), trusted)
    secure = scope["scheme"] in ("https", "wss") or (
        headers.get("x-forwarded-proto") == "https" and is_trusted(peer, trusted)
    )
    address = address if is_address(address) else ""
    browser = cookies.get(SECURE_BROWSER_COOKIE if secure else BROWSER_COOKIE, "")
    return BrowserIdentity(
        browser=browser if TOKEN.fullmatch(browser) else "",
        address=address,
        network=network(address),
        secure=secure,
        language=language_of(_by_weight(headers.getlist("accept-language"))),
        zone=zone_of(unquote(cookies.get(ZONE_COOKIE, "")), cookies.get(OFFSET_COOKIE, ""))
        or local_zone(),
    )


def is_from_before(cookies: Mapping[str, str], visitor: BrowserIdentity) -> bool:
    """Tell whether a browser has only the cookie that earlier versions set over https."""
    return visitor.secure and not visitor.browser and BROWSER_COOKIE in cookies


def new_cookie(secure: bool) -> str:
    """Return the header that sets a browser's cookie."""
    name = SECURE_BROWSER_COOKIE if secure else BROWSER_COOKIE
    value = f"{name}={secrets.token_urlsafe(32)}; Path=/; HttpOnly; SameSite=Strict"
    return value + ("; Secure" if secure else "")


def mark(browser: str) -> str:
    """Return a mark that identifies a cookie without revealing it."""
    digest = hashlib.sha256(browser.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _by_weight(headers: Iterable[str]) -> list[str]:
    """Return the languages of Accept-Language by descending weight (RFC 9110, section 12.5.4)."""
    wishes: list[tuple[float, str]] = []
    for part in ",".join(headers).split(",")[:32]:
        tag, _, weight = part.partition(";")
        found = re.fullmatch(r"\s*q=(\d(?:\.\d{0,3})?)\s*", weight)
        wishes.append((-float(found[1]) if found else -1.0, tag.strip()))
    return [tag for _, tag in sorted(wishes, key=lambda wish: wish[0])]
