"""Rules of `/files`: files between one browser and the session it has opened."""

from __future__ import annotations

import asyncio
import http.client
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from flet_app import file_urls
from tests.flet_app.apps import App
from tests.flet_app.browser import LIMIT, Answer, Browser, Page

NewBrowser = Callable[..., Browser]
pytestmark = pytest.mark.system


async def opened(browser: Browser) -> Page:
    page = await browser.open()
    await page.until("ready")
    return page


def size(path: Path) -> int:
    return path.stat().st_size


def exists(path: Path | str) -> bool:
    return Path(path).exists()


async def do(page: Page, action: str, **query: object) -> dict[str, Any]:
    """Have the app do something with its host, and return what came of it."""
    await page.go(action, **query)
    return await page.told()


async def ask(browser: Browser, *request: Any, **headers: str) -> Answer:
    return await asyncio.to_thread(browser.request, *request, **headers)


async def test_a_shown_picture_is_drawn_and_never_run(new_browser: NewBrowser) -> None:
    browser = new_browser()
    page = await opened(browser)
    url = (await do(page, "show", content="<script>", type="image/webp"))["url"]
    answer = await ask(browser, url)
    assert (answer.status, answer.body) == (200, b"<script>")
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["cache-control"].startswith("private")
    assert "content-disposition" not in answer.headers
    assert (await do(page, "show", type="image/webp"))["url"] == url


@pytest.mark.parametrize("type", ["text/html", "image/svg+xml", "application/pdf", ""])
async def test_nothing_but_pictures_is_shown(new_browser: NewBrowser, type: str) -> None:
    page = await opened(new_browser())
    assert await do(page, "show", type=type) == {"error": "ValueError"}


@pytest.mark.parametrize("name", ["notes.txt", "übersicht 数学.html", 'a"b;c.txt', "line\nbreak"])
async def test_an_offered_file_is_saved_under_its_name(new_browser: NewBrowser, name: str) -> None:
    browser = new_browser()
    url = (await do(await opened(browser), "offer", name=name))["url"]
    answer = await ask(browser, url)
    assert answer.body == b"hello"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] in (
        f'attachment; filename="{name}"',
        f"attachment; filename*=utf-8''{quote(name)}",
    )


async def test_files_of_another_browser_are_not_there(new_browser: NewBrowser) -> None:
    owner, thief = new_browser(), new_browser()
    page, _ = await opened(owner), await opened(thief)
    for action, method in (("show", "GET"), ("offer", "GET"), ("expect", "PUT")):
        url = (await do(page, action, name="a", size=1, type="image/png"))["url"]
        body = b"x" if method == "PUT" else None
        for stranger in (thief, new_browser()):
            assert (await ask(stranger, url, method, body)).status == 404
        assert (await ask(owner, url, method, body)).status in (200, 204)


async def test_what_lies_elsewhere_is_not_offered(new_browser: NewBrowser) -> None:
    page, other = await opened(new_browser()), await opened(new_browser())
    folder = (await do(other, "who"))["folder"]
    for path in ("/etc/passwd", f"{folder}/a", "../a"):
        assert await do(page, "steal", path=path) == {"error": "ValueError"}


async def test_a_session_has_a_folder_that_nobody_else_may_open(new_browser: NewBrowser) -> None:
    first, second = await opened(new_browser()), await opened(new_browser())
    folders = [Path((await do(page, "who"))["folder"]) for page in (first, second)]
    assert folders[0] != folders[1]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in folders] == [0o700, 0o700]


async def test_links_and_folder_go_with_the_session(new_browser: NewBrowser) -> None:
    browser = new_browser()
    page = await opened(browser)
    folder = Path((await do(page, "who"))["folder"])
    shown = (await do(page, "show"))["url"]
    expected = await do(page, "expect", name="a", size=1)
    await do(page, "close")
    assert not exists(folder)
    assert (await ask(browser, shown)).status == 404
    assert (await ask(browser, expected["url"], "PUT", b"x")).status == 404


async def test_a_withdrawn_link_is_gone_with_what_came_over_it(new_browser: NewBrowser) -> None:
    browser = new_browser()
    page = await opened(browser)
    expected = await do(page, "expect", name="a", size=1)
    await ask(browser, expected["url"], "PUT", b"x")
    assert exists(expected["path"])
    await do(page, "withdraw", url=expected["url"])
    assert not exists(expected["path"])
    shown = (await do(page, "show"))["url"]
    await do(page, "withdraw", url=shown)
    assert (await ask(browser, shown)).status == 404


async def test_a_file_comes_whole_under_its_name_and_once(new_browser: NewBrowser) -> None:
    browser = new_browser()
    page = await opened(browser)
    content = bytes(range(256)) * 20_000
    expected = await do(page, "expect", name="../../my photo.png", size=len(content))
    path = Path(expected["path"])
    assert path.name == "my photo.png" and not exists(path)
    assert path.is_relative_to((await do(page, "who"))["folder"])
    assert (await ask(browser, expected["url"], "PUT", content)).status == 204
    assert await asyncio.to_thread(path.read_bytes) == content
    assert [file.name for file in path.parent.iterdir()] == ["my photo.png"]
    assert (await ask(browser, expected["url"], "PUT", content)).status == 410
    assert (await ask(browser, expected["url"])).status == 405


@pytest.mark.parametrize("content", [b"", b"1234", b"123456"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_of_another_size_is_refused_and_leaves_nothing(
    new_browser: NewBrowser, content: bytes, chunked: bool
) -> None:
    browser = new_browser()
    expected = await do(await opened(browser), "expect", name="a", size=5)

    def put() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", browser.port, timeout=20)
        cookie = f"chat_browser={browser.cookies['chat_browser']}"
        body = iter([content]) if chunked else content
        connection.request("PUT", expected["url"], body, {"Cookie": cookie}, encode_chunked=chunked)
        status = connection.getresponse().status
        connection.close()
        return status

    assert await asyncio.to_thread(put) == 400
    assert list(Path(expected["path"]).parent.iterdir()) == []


async def test_a_file_that_is_broken_off_leaves_nothing(app: App, new_browser: NewBrowser) -> None:
    browser = new_browser()
    expected = await do(await opened(browser), "expect", name="a", size=5_000_000)
    folder = Path(expected["path"]).parent
    with socket.create_connection(("127.0.0.1", app.port)) as sender:
        head = (
            f"PUT {expected['url']} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n"
            f"Cookie: chat_browser={browser.cookies['chat_browser']}\r\n\r\n"
        )
        sender.sendall(head.encode() + bytes(3_000_000))
        await asyncio.to_thread(
            until, lambda: sum(file.stat().st_size for file in folder.iterdir()) > 0
        )
    await asyncio.to_thread(until, lambda: list(folder.iterdir()) == [])
    assert "Traceback" not in app.log


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does to files, of which nothing tells us."""
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_files_and_their_bytes_are_limited_for_each_session(new_browser: NewBrowser) -> None:
    page, other = await opened(new_browser()), await opened(new_browser())
    half = file_urls.MAX_EXPECTED_BYTES // 2
    first = await do(page, "expect", name="a", size=half)
    await do(page, "expect", name="a", size=half)
    assert await do(page, "expect", name="a", size=1) == {"error": "NoRoom"}
    assert "url" in await do(other, "expect", name="a", size=1)
    await do(page, "withdraw", url=first["url"])
    for _ in range(file_urls.MAX_EXPECTED_UPLOADS - 1):
        assert "url" in await do(page, "expect", name="a", size=1)
    assert await do(page, "expect", name="a", size=1) == {"error": "TooManyFiles"}


async def test_more_than_the_disk_holds_is_not_expected(new_browser: NewBrowser) -> None:
    page = await opened(new_browser())
    assert await do(page, "expect", name="a", size=1 << 60) == {"error": "NoRoom"}
    assert await do(page, "expect", name="a", size=-1) == {"error": "ValueError"}
