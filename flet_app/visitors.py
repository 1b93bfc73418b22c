"""Who looks at a page: told by the request that brings it, and by a cookie of ours."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import unquote

from starlette.requests import HTTPConnection
from starlette.types import Scope

from flet_app.host import language_of, local_zone
from flet_app.zones import zone_of
from shared.settings import Network, client_address, is_address, is_trusted

BROWSER = "chat_browser"
"""Cookie: 256 random bits that tell one browser from every other. It is nobody's sign-in; it keeps
others off pages and files of this browser whose addresses they may have learnt."""
ZONE = "chat_zone"
"""Cookie: the browser's time zone, set by the page (assets/page/start.js)."""
OFFSET = "chat_offset"
"""Cookie: minutes by which its clocks are ahead of UTC now, for zones that are not known here."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser, as the realm's limits and the app see it."""

    browser: str
    """Its cookie; empty if it has none."""
    address: str
    """Its IP address; empty if a proxy hides it."""
    secure: bool
    """Whether it came by https."""
    language: str
    zone: tzinfo


def visitor_of(scope: Scope, trusted: Sequence[Network]) -> Visitor:
    """Read a request or a WebSocket's handshake."""
    connection = HTTPConnection(scope)
    headers, cookies = connection.headers, connection.cookies
    peer = scope["client"][0] if scope.get("client") else ""
    address = client_address(peer, headers.getlist("x-forwarded-for"), trusted)
    secure = scope["scheme"] in ("https", "wss") or (
        headers.get("x-forwarded-proto") == "https" and is_trusted(peer, trusted)
    )
    browser = cookies.get(BROWSER, "")
    return Visitor(
        browser=browser if TOKEN.fullmatch(browser) else "",
        address=address if is_address(address) else "",
        secure=secure,
        language=language_of(_by_weight(headers.getlist("accept-language"))),
        zone=zone_of(unquote(cookies.get(ZONE, "")), cookies.get(OFFSET, "")) or local_zone(),
    )


def new_cookie(secure: bool) -> str:
    """Return the header that makes a browser known from now on."""
    value = f"{BROWSER}={secrets.token_urlsafe(32)}; Path=/; HttpOnly; SameSite=Strict"
    return value + ("; Secure" if secure else "")


def mark(browser: str) -> str:
    """Return what may stand for a cookie where others could read it."""
    digest = hashlib.sha256(browser.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _by_weight(headers: Iterable[str]) -> list[str]:
    """Return the languages of Accept-Language, the most wanted first (RFC 9110 12.5.4)."""
    wishes: list[tuple[float, str]] = []
    for part in ",".join(headers).split(",")[:32]:
        tag, _, weight = part.partition(";")
        found = re.fullmatch(r"\s*q=(\d(?:\.\d{0,3})?)\s*", weight)
        wishes.append((-float(found[1]) if found else -1.0, tag.strip()))
    return [tag for _, tag in sorted(wishes, key=lambda wish: wish[0])]
