"""Strangers at the web app's port: their frames do not affect other people."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from flet_app.frame_filter import MAX_FILE_FRAME_BYTES, MAX_STRANGER_FRAME_BYTES
from tests.flet_app.apps import App
from tests.flet_app.browser import EVENT, LIMIT, Browser, Page
from tests.flet_app.hostile import Fuzzed, memory
from tests.rawclient import RawClient
from tests.realserver import RealServer

NewBrowser = Callable[..., Browser]
pytestmark = pytest.mark.system
MIB = 1 << 20


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[App, RealServer]]:
    """The chat itself, at a realm."""
    folder = tmp_path_factory.mktemp("chat")
    server = RealServer(folder)
    server.start()
    found = App(folder, "--server", server.url)
    yield found, server
    found.kill()
    server.kill()


@pytest_asyncio.fixture
async def bystander(new_browser: NewBrowser) -> AsyncIterator[Page]:
    """A page of somebody else, who has nothing to do with it."""
    page = await new_browser(address="127.0.0.77").open()
    await page.until("ready")
    yield page


async def waited(page: Page, times: int) -> list[float]:
    """Return how long a page waits for what it asks of the app."""
    found = []
    for _ in range(times):
        begun = time.monotonic()
        await page.go("who")
        await page.told()
        found.append(time.monotonic() - begun)
        await asyncio.sleep(0.02)
    return found


async def unharmed(page: Page, doing: Awaitable[object]) -> None:
    """Let strangers do something, and see that a bystander waits hardly longer than before."""
    quiet = statistics.median(await waited(page, 20))
    task = asyncio.ensure_future(doing)
    felt = await waited(page, 20)
    while not task.done():
        felt += await waited(page, 5)
    await task
    assert statistics.median(felt) < max(10 * quiet, 0.1), (quiet, sorted(felt)[-5:])
    assert max(felt) < max(50 * quiet, 1.0), (quiet, sorted(felt)[-5:])


async def ended(socket: ClientConnection) -> int:
    """Wait until a WebSocket is ended, and return how."""
    async with asyncio.timeout(LIMIT):
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code or 0


async def test_no_compression_is_agreed_on(new_browser: NewBrowser) -> None:
    browser = new_browser()
    await browser.load()
    socket = await browser.socket(extensions=[ClientPerMessageDeflateFactory()])
    assert socket.response is not None
    assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def test_sixteen_kilobytes_froze_all_pages_for_27_seconds(
    app: App, new_browser: NewBrowser, bystander: Page
) -> None:
    """8 MiB of empty lists, which 16 kB unpacked to; now plain, and whatever else is dear."""
    lists = b"\x92\x03\x83\xa6target\x01\xa4name\xa5click\xa4data"
    dear = [
        b"\0"
        + lists
        + b"\xdd"
        + (MAX_FILE_FRAME_BYTES - 100).to_bytes(4, "big")
        + b"\x90" * (MAX_FILE_FRAME_BYTES - 100),
        b"\0" + lists + b"\x91" * 60_000,
        b"\0" + lists + b"\xdc\x07\xd0" + b"\x90" * 2_000,
        b"\0" + lists + b"\xdf\xff\xff\xff\xff",
        b"\0" + lists + b"\xdb\xff\xff\xff\xffx",
    ]
    before = memory(app.process.pid)

    async def attack(number: int) -> None:
        browser = new_browser(address=f"127.0.2.{number % 5 + 1}")
        await browser.load()
        for said in dear:
            for registered in (False, True):
                page = Page(await browser.socket())
                if registered:
                    await page.register()
                    await page.until("ready")
                    await page.go("sign_out")
                    await page.told()
                with suppress(ConnectionClosed):
                    await page.socket.send(said)
                assert await ended(page.socket) in (1006, 1008, 1009)

    await unharmed(bystander, asyncio.gather(*(attack(number) for number in range(10))))
    assert memory(app.process.pid) - before < 60 * MIB
    assert "Traceback" not in app.log
    assert zlib.compress(dear[0]).__len__() < 16_384  # as it was sent then


async def test_a_stranger_holds_no_large_frame(app: App, new_browser: NewBrowser) -> None:
    """Each might hold 8 MiB that never ended."""
    browser = new_browser()
    await browser.load()
    socket = await browser.socket()
    head = b"\x82\xff" + (MAX_STRANGER_FRAME_BYTES + 1).to_bytes(8, "big") + b"\0\0\0\0"
    socket.transport.write(head + b"x" * 1_000)
    assert await ended(socket) == 1009


async def test_who_is_signed_in_may_paste_and_a_crowd_of_frames_has_a_bound(
    app: App, new_browser: NewBrowser
) -> None:
    browser = new_browser()
    page = await browser.open()
    await page.until("ready")
    content = bytes(7 * MIB)
    files = {"files": [{"name": "a.png", "bytes": content}]}
    await page.say(EVENT, {"target": page.id, "name": "paste_files", "data": files})
    await page.go("who")
    await page.told()
    before = memory(app.process.pid)
    holding = []
    for _ in range(12):
        held = await browser.open()
        await held.until("ready")
        head = b"\x82\xff" + (7 * MIB).to_bytes(8, "big") + b"\0\0\0\0"
        held.socket.transport.write(head + bytes(6 * MIB))
        holding.append(held)
    await page.go("who")
    await page.told()
    assert memory(app.process.pid) - before < 60 * MIB
    for held in holding:
        held.socket.transport.abort()


@pytest.mark.parametrize(
    "noise",
    [b"\x89\x80\0\0\0\0", b"\x8a\x80\0\0\0\0", b"\x00\x80\0\0\0\0"],
    ids=["pings", "pongs", "fragments"],
)
async def test_frames_that_say_nothing_end_the_connection(
    new_browser: NewBrowser, bystander: Page, noise: bytes
) -> None:
    browser = new_browser(address="127.0.3.1")
    await browser.load()
    sockets = [await browser.socket() for _ in range(10)]

    async def flood(socket: ClientConnection) -> None:
        if noise[0] == 0:
            socket.transport.write(b"\x02\x80\0\0\0\0")
        with suppress(OSError):
            while not socket.transport.is_closing():
                socket.transport.write(noise * 1_000)
                await asyncio.sleep(0.01)
        await ended(socket)

    await unharmed(bystander, asyncio.gather(*(flood(socket) for socket in sockets)))


async def test_five_addresses_locked_everybody_out(tmp_path: Path) -> None:
    """They opened all pages and left, or stayed; a sixth address got 503 for five minutes."""
    app = App(
        tmp_path,
        *("--max-pages", "50", "--max-address-pages", "10"),
        program="tests.flet_app.probe",
    )
    browsers = [Browser(app.port, address=f"127.0.4.{number}") for number in range(1, 6)]
    other = Browser(app.port, address="127.0.5.1")
    try:
        pages = [await browser.open() for browser in browsers for _ in range(10)]
        await asyncio.gather(*(page.until("ready") for page in pages))
        # All places are taken, by people who are signed in, and still there.
        for _ in range(5):
            await (await other.open()).until("ready")
        for page in pages:
            await page.socket.close()
        for _ in range(4):
            await (await other.open()).until("ready")
        assert "Traceback" not in app.log
    finally:
        for browser in (*browsers, other):
            await browser.close()
        app.kill()


async def test_a_page_without_a_session_of_the_realm_does_not_linger(
    new_browser: NewBrowser,
) -> None:
    first, other = new_browser(address="127.0.6.1"), new_browser(address="127.0.6.1")
    for _ in range(20):
        page = await first.open()
        await page.until("ready")
        await page.go("sign_out")
        await page.told()
        await page.socket.close()
    # Each is still counted until its connection has ended, and no longer.
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                await (await other.open()).until("ready")
                break
            except Exception:
                await asyncio.sleep(0.1)


async def test_hostile_frames_before_and_after_signing_in(chat: tuple[App, RealServer]) -> None:
    app, server = chat
    eve = await RawClient.signed_in(server.url, "eve")
    reply = await eve.ask("auth", user="eve", password="secret-eve")
    await eve.ask("send", to="eve", text="note to myself")
    stranger = Fuzzed(Browser(app.port, address="127.0.7.1"), seed=1)
    known = Fuzzed(Browser(app.port, address="127.0.7.2"), seed=2, token=reply["token"])
    await stranger.run(150, until="Sign in")
    begun = memory(app.process.pid)
    await asyncio.gather(stranger.run(300, until="Sign in"), known.run(300, until="eve"))
    assert "Traceback" not in app.log, app.log[-4_000:]
    said = set(re.findall(r'event="?(.*?)"?$', app.log, re.MULTILINE))
    assert all(event.startswith("the browser did not keep ") for event in said), said
    assert memory(app.process.pid) - begun < 120 * MIB
    await eve.close()
