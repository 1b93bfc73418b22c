"""Rules for web pages and host names that may use the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.net.listening import UPGRADE, port, url
from tests.world import World


@pytest.fixture
async def picky(tmp_path: Path) -> AsyncIterator[World]:
    origins = "https://chat.example/, http://localhost:8550"
    async with World(tmp_path, origins=origins) as world:
        yield world


@pytest.mark.parametrize("origin", [None, "https://chat.example", "http://localhost:8550"])
async def test_origins_that_are_listed_and_programs_may_connect(picky: World, origin: Any) -> None:
    async with connect(url(picky), proxy=None, origin=origin) as socket:
        await socket.send("ping")
        assert await socket.recv() == "OK Pong"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://chat.example.evil", "http://chat.example"]
)
async def test_other_origins_are_refused(picky: World, origin: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(url(picky), proxy=None, origin=origin)
    assert refused.value.response.status_code == 403


TWICE = [
    "Origin: https://chat.example\r\nOrigin: https://evil.example",
    "Origin: https://chat.example\r\nOrigin: https://chat.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Host: chat.example",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: x",
    "User-Agent: Mozilla/5.0\r\nUser-Agent: x\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: x",
]


@pytest.mark.parametrize("lines", TWICE)
async def test_no_header_that_comes_twice_is_a_fault_of_the_server(
    picky: World, lines: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Two `Origin` headers once caused a 500 and a traceback in the log."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(picky))
    writer.write(f"{UPGRADE}\r\n{lines}\r\nHost: localhost\r\n\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    assert status in (101, 400, 403, 426)
    if lines.startswith(("Origin", "Host")):
        assert status == 400
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, hosts="chat.example, other.example") as world:
        yield world


def page(origin: str, host: str) -> str:
    """Return the headers that a browser sends for a page of this origin; `PORT` is the server's."""
    return f"Host: {host}\r\nOrigin: {origin}"


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("https://evil.example", "127.0.0.1:PORT", 403),
        ("http://localhost:PORT", "localhost:PORT", 101),
        ("http://127.0.0.1:PORT", "127.0.0.1:PORT", 101),
        ("http://[::1]:PORT", "[::1]:PORT", 101),
        ("http://me.localhost:PORT", "me.localhost:PORT", 101),
        ("http://LOCALHOST:PORT", "localhost:PORT", 101),
        ("http://localhost:1", "localhost:PORT", 403),
        ("http://localhost", "localhost:PORT", 403),
        ("http://127.0.0.1:PORT", "localhost:PORT", 403),
        ("null", "localhost:PORT", 403),
        ("", "localhost:PORT", 403),
        ("file://", "localhost:PORT", 403),
        ("chrome-extension://abc", "localhost:PORT", 403),
        ("http://localhost:99999", "localhost:PORT", 403),
        ("http://[::1", "localhost:PORT", 403),
        # DNS rebinding: the page's name resolves to this server, so origin and host agree.
        ("http://evil.example:PORT", "evil.example:PORT", 403),
        ("http://evil.example", "evil.example", 403),
        ("http://localhost.evil.example:PORT", "localhost.evil.example:PORT", 403),
        ("https://chat.example", "chat.example", 101),
        ("https://chat.example", "chat.example.", 403),
        ("https://Chat.Example", "CHAT.example:443", 101),
        ("https://other.example", "chat.example", 403),
        ("http://x@localhost:PORT", "evil.example:PORT", 403),
        ("http://localhost:PORT", "", 403),
    ],
)
async def test_without_origins_only_the_servers_own_pages_may_connect(
    named: World, origin: str, host: str, status: int
) -> None:
    """Any web page could once use the port with its visitor's address."""
    head = f"{UPGRADE}\r\n{page(origin, host)}".replace("PORT", str(port(named)))
    assert await status_of(named, head) == status


async def status_of(world: World, head: str) -> int:
    """Send the head of a request and return the response's status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(world))
    writer.write(f"{head}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        status = int((await reader.readline()).split()[1])
    writer.close()
    return status


@pytest.mark.parametrize("host", ["evil.example", "chat.example", "", "a b"])
async def test_programs_may_use_any_name(named: World, host: str) -> None:
    assert await status_of(named, f"{UPGRADE}\r\nHost: {host}") == 101


@pytest.mark.parametrize("mark", ["User-Agent: Mozilla/5.0 (X11)", "Sec-Fetch-Mode: cors"])
@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("evil.example", "/metrics", 403),
        ("evil.example", "/", 403),
        ("evil.example", "/healthz", 200),
        ("evil.example", "/readyz", 200),
        ("chat.example", "/metrics", 200),
        ("10.0.0.1:8765", "/metrics", 200),
        ("[2001:db8::1]:8765", "/metrics", 200),
    ],
)
async def test_a_browser_reads_nothing_under_a_name_that_is_not_the_servers(
    named: World, mark: str, host: str, path: str, status: int
) -> None:
    """By DNS rebinding, a page could once read the metrics as its own origin's."""
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{mark}"
    assert await status_of(named, head) == status
