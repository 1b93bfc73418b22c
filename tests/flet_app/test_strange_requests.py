"""Requests at the web app's port from hostile clients and from foreign pages."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flet_app.http_timeouts import HEAD_SECONDS, MAX_CONNECTIONS_PER_ADDRESS
from tests.flet_app.apps import PROBE, App
from tests.flet_app.browser import Browser

pytestmark = pytest.mark.system
NewBrowser = Callable[..., Browser]
LIMIT = 20.0


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app with a name of its own, and with TLS."""
    folder = tmp_path_factory.mktemp("named")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,DNS:chat.example.org"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    found = App(
        folder,
        *("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")),
        *("--hosts", "chat.example.org"),
        program=PROBE,
    )
    yield found
    found.kill()


def secure(app: App, address: str = "127.0.0.1") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(app.log_path.parent / "cert.pem"))
    plain = socket.create_connection(
        ("127.0.0.1", app.port), timeout=LIMIT, source_address=(address, 0)
    )
    return context.wrap_socket(plain, server_hostname="localhost")


def said(connection: socket.socket, request: bytes) -> bytes:
    """Send a request, and return all that comes until the end."""
    connection.sendall(request)
    answer = b""
    with suppress(OSError):
        while piece := connection.recv(65_536):
            answer += piece
    connection.close()
    return answer


def raw(app: App, request: bytes, address: str = "127.0.0.1") -> bytes:
    connection = socket.create_connection(
        ("127.0.0.1", app.port), timeout=LIMIT, source_address=(address, 0)
    )
    return said(connection, request)


def head(host: str, path: str = "/", *more: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


# Names


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "app.localhost", "127.0.0.1:8550", "[::1]", "192.0.2.7"]
)
def test_loopback_names_and_addresses_lead_to_the_app(app: App, host: str) -> None:
    assert raw(app, head(host)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8550", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("user@localhost", "localhost@evil.example", "", "localhost:x", "[::1", "[evil]", "a b"),
        *("127.0.0.1/x", "localhost#", "localhost?", "\xe9vil.example"),
    ],
)
def test_a_page_that_rebinds_its_name_gets_nothing(app: App, host: str) -> None:
    """The app took any Host, so any page could be the app's own to a browser."""
    for path in ("/", "/main.dart.mjs", "/files/x"):
        answer = raw(app, head(host, path))
        assert re.match(rb"HTTP/1.1 40[03] ", answer), answer[:200]
        assert b"chat_browser" not in answer and b"<html" not in answer
    if host == "evil.example":
        assert b"--hosts" in answer
        assert raw(app, head(host, "/healthz")).startswith(b"HTTP/1.1 200 ")


async def test_a_rebound_page_opens_no_socket(app: App, new_browser: NewBrowser) -> None:
    browser = new_browser()
    await browser.load()
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            f"ws://evil.example:{app.port}/ws",
            host="127.0.0.1",
            origin=f"http://evil.example:{app.port}",
            additional_headers={"Cookie": cookie},
            proxy=None,
        )
    assert refusal.value.response.status_code == 403
    assert b"--hosts" in refusal.value.response.body


@pytest.mark.parametrize(
    "more",
    [
        ("Origin: http://localhost", "Origin: http://localhost"),
        ("Origin: http://localhost", "Origin: http://evil.example"),
        ("Host: evil.example",),
        ("Host: localhost",),
    ],
)
@pytest.mark.parametrize("upgrade", [False, True])
def test_two_origins_were_a_fault_of_the_server(
    app: App, more: tuple[str, ...], upgrade: bool
) -> None:
    wanted = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    wanted = (*wanted, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==") if upgrade else ()
    assert raw(app, head("localhost", "/ws", *wanted, *more)).startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in app.log


def test_the_operators_name_is_the_apps_too(named: App) -> None:
    answer = said(secure(named), head("chat.example.org"))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert said(secure(named), head("evil.example")).startswith(b"HTTP/1.1 403 ")


# TLS


def test_over_tls_the_cookie_and_the_way_are_the_hosts_alone(named: App) -> None:
    answer = said(secure(named), head("localhost")).decode("latin-1").lower()
    assert "strict-transport-security: max-age=31536000" in answer
    assert re.search(
        r"set-cookie: __host-chat_browser=[\w-]{43}; path=/; httponly; samesite=strict; secure\r\n",
        answer,
    )


async def test_a_page_with_the_cookie_of_an_earlier_version_is_loaded_anew(named: App) -> None:
    context = ssl.create_default_context(cafile=str(named.log_path.parent / "cert.pem"))
    socket = await connect(
        f"wss://localhost:{named.port}/ws",
        host="127.0.0.1",
        ssl=context,
        origin=f"https://localhost:{named.port}",
        additional_headers={"Cookie": f"chat_browser={'x' * 43}"},
        proxy=None,
    )
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 4404


def test_silent_handshakes_were_held_for_a_minute(named: App) -> None:
    """600 of them, and uncounted: TLS came before anybody could look."""
    begun = time.monotonic()
    silent = []
    for _ in range(MAX_CONNECTIONS_PER_ADDRESS + 100):
        one = socket.create_connection(
            ("127.0.0.1", named.port), timeout=LIMIT, source_address=("127.0.8.1", 0)
        )
        silent.append(one)
    # Somebody else comes in meanwhile, as quickly as ever.
    other = time.monotonic()
    assert said(secure(named, "127.0.8.2"), head("localhost")).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - other < 2
    at_once = 0
    for one in silent[MAX_CONNECTIONS_PER_ADDRESS:]:
        with suppress(OSError):
            assert one.recv(1) == b""
        at_once += time.monotonic() - begun < HEAD_SECONDS - 2
        one.close()
    assert at_once >= 90, at_once
    for one in silent[:MAX_CONNECTIONS_PER_ADDRESS]:
        with suppress(OSError):
            assert one.recv(1) == b""
        one.close()
    assert time.monotonic() - begun < HEAD_SECONDS + 5
    assert said(secure(named, "127.0.8.1"), head("localhost")).startswith(b"HTTP/1.1 200 ")
    assert "Traceback" not in named.log


# Fuzz


PATHS = (
    *(
        "/",
        "/ws",
        "/files/x",
        "/files/",
        "/files/%00",
        "/../etc/passwd",
        "//x",
        "/%2e%2e/x",
        "/c/a",
    ),
    *(
        "/main.dart.mjs",
        "*",
        "http://[",
        "http://localhost/",
        "/\xff",
        "/%ff%fe",
        "/" + "a" * 9_000,
    ),
    *("/index.html?x=%zz", "/healthz", "/assets/\0", "/assets/fonts/..", "/ws/../ws"),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "G\0T")
HEADERS = (
    *("Range: bytes=0-", "Range: bytes=9-1", "Range: bytes=-5", "Range: x=1", "Range: bytes=a-b"),
    "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(0, 8_000, 2)),
    *("If-Range: x", "If-None-Match: \xff", "If-Modified-Since: x", "Accept-Encoding: \xe9, gzip"),
    *("Content-Length: 5", "Content-Length: -1", "Content-Length: x", "Content-Length: 1e9"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: x", "Expect: 100-continue", "Expect: x"),
    *("Cookie: chat_browser=" + "x" * 43, "Cookie: \xff=\xfe; ;;=", "Cookie: chat_zone=../../x"),
    *("Cookie: chat_zone=%ff%00; chat_offset=9e99", "Cookie: chat_offset=-999999999999"),
    *("Accept-Language: " + "a;q=" * 50, "Accept-Language: \xff", "X-Forwarded-For: x, ::"),
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Origin: http://["),
    *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: x", "Origin: null"),
    *("Sec-WebSocket-Extensions: permessage-deflate; x=\xff", "Sec-WebSocket-Protocol: \xe9"),
    *("Upgrade: h2c", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 99", "Origin: "),
    *("X: " + "y" * 9_000, ": empty", "no colon", " folded", "Host: localhost", "Origin: http://a"),
)


def request(chance: random.Random) -> bytes:
    """Return what is nearly a request."""
    version = chance.choice(["HTTP/1.1"] * 8 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""])
    lines = [f"{chance.choice(METHODS)} {chance.choice(PATHS)} {version}"]
    if chance.random() < 0.9:
        lines.append(
            f"Host: {chance.choice(['localhost', 'localhost', 'evil', '', '[', 'a:99999'])}"
        )
    lines += chance.choices(HEADERS, k=chance.randrange(7))
    if chance.random() < 0.5:
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Origin: http://localhost"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    body = chance.choice([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"\x82\xff\xff", bytes(3_000)])
    found = bytearray(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
    if chance.random() < 0.2:
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


async def test_strange_requests_put_nothing_into_the_log(app: App, new_browser: NewBrowser) -> None:
    chance = random.Random(7)
    before = app.log

    async def send(number: int) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", app.port, local_addr=(f"127.0.9.{number % 20 + 1}", 0)
        )
        with suppress(OSError, TimeoutError):
            writer.write(request(chance))
            await writer.drain()
            async with asyncio.timeout(0.2):
                await reader.read()
        writer.transport.abort()

    for _ in range(40):
        await asyncio.gather(*(send(number) for number in range(50)))
    page = await new_browser().open()
    await page.until("ready")
    assert app.log == before, app.log[len(before) :][:4_000]


def test_thousands_of_ranges_are_one_whole(app: App) -> None:
    ranges = "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(0, 16_000, 2))
    answer = raw(app, head("localhost", "/main.dart.mjs", ranges))
    assert answer.startswith(b"HTTP/1.1 200 ")
    answer = raw(app, head("localhost", "/main.dart.mjs", "Range: bytes=0-9"))
    assert answer.startswith(b"HTTP/1.1 206 ") and answer.endswith(b"\r\n\r\n" + answer[-10:])


def test_a_body_that_nobody_wants_does_not_hold_its_connection(app: App) -> None:
    begun = time.monotonic()
    answer = raw(app, b"PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert time.monotonic() - begun < 2 * HEAD_SECONDS + 5
