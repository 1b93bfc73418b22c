"""Rules of the process that serves browsers; see docs/web.md."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from flet_app.http_timeouts import HEAD_SECONDS, MAX_HEAD_BYTES
from flet_app.pages import FIRST_FRAME_SECONDS
from tests.flet_app.apps import PROBE, App
from tests.flet_app.browser import LIMIT, REGISTER, Browser
from tests.flet_app.conftest import PER_ADDRESS
from tests.realserver import RealServer

NewBrowser = Callable[..., Browser]
pytestmark = pytest.mark.system


# What is served


def test_every_answer_says_what_a_browser_may_do_with_it(app: App) -> None:
    browser = Browser(app.port)
    for path in ("/", "/chat/7", "/main.dart.mjs", "/nothing.png", "/files/unknown", "/healthz"):
        headers = browser.request(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, path
        assert "http" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert {"access-control-allow-origin", "server"}.isdisjoint(map(str.lower, headers))


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/upload", "/oauth_callback"])
def test_nothing_is_served_but_the_app(app: App, path: str) -> None:
    browser = Browser(app.port)
    page = browser.request("/").body
    answer = browser.request(path)
    assert answer.body == page if answer.status == 200 else answer.status == 404
    assert browser.request(path, "PUT", b"x").status == 405


@pytest.mark.parametrize(
    "path", ["/../settings.py", "/%2e%2e/settings.py", "/assets/..%2f..%2fweb.py"]
)
def test_no_path_leads_out_of_the_folders(app: App, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_the_engine_is_packed_and_a_reload_moves_little(app: App) -> None:
    browser = Browser(app.port)
    plain = browser.request("/main.dart.wasm")
    packed = browser.request("/main.dart.wasm", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["etag"] != plain.headers["etag"]
    for answer, encoding in ((plain, "identity"), (packed, "gzip")):
        again = browser.request(
            "/main.dart.wasm", Accept_Encoding=encoding, If_None_Match=answer.headers["etag"]
        )
        assert (again.status, again.body) == (304, b"")


def test_the_page_is_never_kept_so_an_update_is_seen(app: App) -> None:
    browser = Browser(app.port)
    assert browser.request("/").headers["cache-control"] == "no-store"
    assert browser.request("/main.dart.mjs").headers["cache-control"] == "no-cache"


# Who it is


def test_a_browser_gets_a_cookie_of_its_own_once(app: App) -> None:
    first, second = Browser(app.port), Browser(app.port)
    cookie = first.request("/").headers["set-cookie"]
    assert re.fullmatch(r"chat_browser=[\w-]{43}; Path=/; HttpOnly; SameSite=Strict", cookie), (
        cookie
    )
    second.request("/")
    assert first.cookies != second.cookies
    assert "set-cookie" not in first.request("/").headers
    assert "set-cookie" not in Browser(app.port).request("/main.dart.mjs").headers


async def test_the_app_learns_zone_and_language_of_the_browser(new_browser: NewBrowser) -> None:
    browser = new_browser(
        cookies={"chat_zone": "Asia%2FJakarta"}, language="fr, id-ID;q=0.9, en;q=0.5"
    )
    page = await browser.open()
    await page.until("ready")
    await page.go("who")
    told = await page.told()
    assert (told["zone"], told["language"]) == ("Asia/Jakarta", "id")


async def refused(opening: Callable[[], object]) -> tuple[int, str]:
    """Return status and sentence with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as refusal:
        await opening()  # type: ignore[misc]
    response = refusal.value.response
    return response.status_code, response.body.decode()


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null", None])
async def test_pages_of_others_open_no_socket_with_our_cookie(
    new_browser: NewBrowser, origin: str | None
) -> None:
    browser = new_browser()
    await browser.load()
    status, text = await refused(lambda: browser.socket(origin=origin))
    assert status == 403 and "Origin" in text


async def test_without_the_cookie_no_page_opens(new_browser: NewBrowser) -> None:
    browser = new_browser()
    status, text = await refused(browser.socket)
    assert status == 403 and "cookies" in text


async def test_a_page_comes_back_after_a_break(new_browser: NewBrowser) -> None:
    browser = new_browser()
    page = await browser.open()
    await page.until("ready")
    await page.go("who")
    before = await page.told()
    await page.socket.close()
    again = await browser.open(page.session)
    assert again.session == page.session
    await again.go("who")
    assert await again.told() == before


async def test_nobody_takes_over_a_page_of_another_browser(new_browser: NewBrowser) -> None:
    owner, thief = new_browser(), new_browser()
    page = await owner.open()
    await page.until("ready")
    await page.socket.close()
    stolen = await thief.open(page.session)
    assert stolen.session != page.session
    assert (await owner.open(page.session)).session == page.session


async def test_a_page_keeps_its_session_when_the_address_changes(new_browser: NewBrowser) -> None:
    browser = new_browser()
    page = await browser.open()
    await page.until("ready")
    await page.socket.close()
    browser.address = "127.0.0.3"
    assert (await browser.open(page.session)).session == page.session


# How many, how long, how much


async def ended(socket: ClientConnection) -> None:
    """Wait until the server ends a WebSocket."""
    async with asyncio.timeout(LIMIT):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()


async def test_pages_of_one_address_are_limited_and_others_come_in(new_browser: NewBrowser) -> None:
    browser = new_browser(address="127.0.0.4")
    for _ in range(PER_ADDRESS):
        await (await browser.open()).until("ready")
    status, text = await refused(browser.socket)
    assert status == 503 and "Close some" in text
    await (await new_browser(address="127.0.0.5").open()).until("ready")


async def test_pages_that_linger_count_and_may_come_back(new_browser: NewBrowser) -> None:
    browser, other = new_browser(address="127.0.0.6"), new_browser(address="127.0.0.6")
    await other.load()
    for _ in range(PER_ADDRESS):
        await (await browser.open()).until("ready")
    for page in browser.opened:
        await page.socket.close()
    assert (await refused(other.socket))[0] == 503
    first = browser.opened[0]
    assert (await browser.open(first.session)).session == first.session
    # Anew instead of back: what lingered longest has to go for it.
    await (await browser.open()).until("ready")


async def test_a_proxy_that_is_trusted_speaks_for_its_browsers(new_browser: NewBrowser) -> None:
    async def page(person: str, proxy: str) -> ClientConnection:
        browser = new_browser(address=proxy)
        await browser.load()
        return await browser.socket(forwarded_for=person)

    for _ in range(PER_ADDRESS):
        await page("203.0.113.7", "127.0.0.9")
    assert (await refused(lambda: page("203.0.113.7", "127.0.0.9")))[0] == 503
    await page("203.0.113.8", "127.0.0.9")
    await page("203.0.113.7", "127.0.0.10")


async def test_a_socket_begins_one_session_only(new_browser: NewBrowser) -> None:
    browser = new_browser(address="127.0.0.7")
    page = await browser.open()
    await page.until("ready")
    await page.say(REGISTER, {"session_id": "x", "page_name": "", "page": {"route": "/"}})
    await ended(page.socket)


@pytest.mark.parametrize("nonsense", [b"\0\xc1", b"\0\x92\x63\x80", b"\0\x92\x01\x81\xa1x\x01"])
async def test_nonsense_ends_a_socket_and_is_no_matter_for_the_log(
    app: App, new_browser: NewBrowser, nonsense: bytes
) -> None:
    browser = new_browser(address="127.0.0.8")
    await browser.load()
    socket = await browser.socket()
    await socket.send(nonsense)
    await ended(socket)
    assert "Traceback" not in app.log


async def test_who_says_nothing_is_cut_off(app: App, new_browser: NewBrowser) -> None:
    browser = new_browser()
    await browser.load()
    page = await browser.socket()
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: local")
    began = time.monotonic()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(page.wait_closed(), reader.read())
    assert time.monotonic() - began > min(HEAD_SECONDS, FIRST_FRAME_SECONDS) - 1
    writer.close()


def test_a_head_without_end_is_cut_off(app: App) -> None:
    with socket.create_connection(("127.0.0.1", app.port), timeout=20) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError):
            for _ in range(100):
                endless.sendall(b"x: " + b"y" * (MAX_HEAD_BYTES // 8) + b"\r\n")
                time.sleep(0.01)  # or all would be in the system's buffers before it is cut


# Its end


async def test_it_stops_within_three_seconds_with_open_pages(tmp_path: Path) -> None:
    app = App(tmp_path, program=PROBE)
    try:
        browser = Browser(app.port)
        page = await browser.open()
        await page.until("ready")
        await browser.socket()
        code, took = await asyncio.to_thread(app.stop)
        assert (code, took < 3) == (0, True), app.log
        assert list(app.files.iterdir()) == []
        assert app.log.count("\n") == 1, app.log
        await browser.close()
    finally:
        app.kill()


async def test_a_page_that_begins_on_a_full_disk_showed_the_systems_words(tmp_path: Path) -> None:
    app = App(tmp_path, program=PROBE)
    browser = Browser(app.port, language="id")
    await browser.load()
    # Nothing can be made where no folder is, either.
    (folder,) = app.files.iterdir()
    away = folder.rename(tmp_path / "away")
    try:
        page = await browser.open()
        shown = await page.until("Disk server tidak punya ruang")
        assert "Errno" not in shown and "ready" not in shown
        assert app.log.count("a page cannot begin") == 1
        left = await browser.open()
        await left.until("Disk server")
        await left.socket.close()
        away.rename(folder)
        await page.until("ready")
        await page.go("who")
        assert Path((await page.told())["folder"]).parent == folder
        assert "Traceback" not in app.log
        await browser.close()
    finally:
        app.kill()


def test_a_port_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = App(tmp_path, "--port", str(port))
        app.kill()
    assert port < app.port <= port + 20


async def test_wrong_passwords_are_counted_for_each_browsers_address(tmp_path: Path) -> None:
    """A realm that trusts the app's machine limits the person, not the app."""
    server = RealServer(tmp_path, "--rate-limits", "on", "--trusted-proxies", "127.0.0.1")
    server.start()
    app = App(tmp_path, "--server", server.url, program=PROBE)
    try:
        codes = {}
        for address in ("127.0.0.2", "127.0.0.3"):
            browser = Browser(app.port, address=address)
            page = await browser.open()
            await page.until("ready")
            codes[address] = []
            for _ in range(6 if address == "127.0.0.2" else 1):
                await page.go("guess")
                codes[address].append((await page.told())["code"])
            await browser.close()
        assert codes["127.0.0.2"] == ["bad_credentials"] * 5 + ["rate_limited"]
        assert codes["127.0.0.3"] == ["bad_credentials"]
    finally:
        app.kill()
        server.kill()
