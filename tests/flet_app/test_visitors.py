"""The identity of a browser, as its request shows it."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta
from typing import Any

import pytest

from flet_app.browser_identity import BrowserIdentity, mark, visitor_of
from flet_app.host import language_of, local_zone
from shared.settings import networks

TRUSTED = networks("10.0.0.0/8")
COOKIE = "x" * 43


def visitor(peer: str = "203.0.113.7", scheme: str = "http", **headers: str) -> BrowserIdentity:
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": scheme,
        "client": (peer, 1),
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    return visitor_of(scope, TRUSTED)


@pytest.mark.parametrize(
    "wish, language",
    [
        ("", "en"),
        ("id", "id"),
        ("id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7", "id"),
        ("en-GB, id;q=0.9", "en"),
        ("fr;q=0.9, in;q=0.3, en;q=0.2", "id"),
        ("en;q=0.1, id;q=0.5", "id"),
        ("de, fr", "en"),
        ("*;q=x,,;;q=, id", "id"),
    ],
)
def test_the_language_is_the_best_that_is_wished(wish: str, language: str) -> None:
    assert visitor(accept_language=wish).language == language


def test_a_system_names_its_language_in_its_own_way() -> None:
    assert language_of(["", "C", "id_ID.UTF-8", "en_GB"]) == "id"


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "a" * 300, "Asia/%00", "Asia"],
)
def test_a_zone_that_is_none_is_the_machines(name: str) -> None:
    assert str(visitor(cookie=f"chat_zone={name}").zone) == str(local_zone())


def test_a_zone_that_is_not_known_is_the_offset_that_the_browser_has() -> None:
    found = visitor(cookie="chat_zone=Mars%2FOlympus; chat_offset=330").zone
    assert found.utcoffset(None) == timedelta(hours=5, minutes=30)


def test_the_zone_is_the_browsers() -> None:
    found = visitor(cookie="chat_zone=America%2FArgentina%2FBuenos_Aires").zone
    assert found == zoneinfo.ZoneInfo("America/Argentina/Buenos_Aires")


@pytest.mark.parametrize(
    "peer, forwarded, address",
    [
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "nonsense", "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
    ],
)
def test_only_a_trusted_proxy_speaks_for_others(peer: str, forwarded: str, address: str) -> None:
    assert visitor(peer, x_forwarded_for=forwarded).address == address


@pytest.mark.parametrize(
    "peer, scheme, said, secure",
    [
        ("203.0.113.7", "http", "https", False),
        ("203.0.113.7", "https", "http", True),
        ("10.1.2.3", "http", "https", True),
        ("10.1.2.3", "ws", "http", False),
    ],
)
def test_what_came_by_https_is_known(peer: str, scheme: str, said: str, secure: bool) -> None:
    assert visitor(peer, scheme, x_forwarded_proto=said).secure == secure


@pytest.mark.parametrize("value", ["", "short", COOKIE + "x", COOKIE[:-1] + "!", "x" * 10_000])
def test_a_cookie_that_is_not_ours_is_none(value: str) -> None:
    assert visitor(cookie=f"chat_browser={value}").browser == ""


def test_a_mark_tells_cookies_apart_and_not_what_they_are() -> None:
    assert visitor(cookie=f"chat_browser={COOKIE}").browser == COOKIE
    assert mark(COOKIE) != mark(COOKIE[:-1] + "y") and COOKIE not in mark(COOKIE)
