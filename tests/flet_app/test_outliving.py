"""A page outlives the app's process, and no text written meanwhile is lost; see docs/app.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from shared.client import ChatClient
from tests.flet_app.apps import App
from tests.flet_app.chromium import LIMIT, listen
from tests.flet_app.talk import DESKTOP, PHONE, PICTURES
from tests.flet_app.typist import KEY, Typist, account, chromium, sit_down
from tests.proxy import Proxy
from tests.realserver import RealServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
AWAY = {
    "en": "The app cannot be reached. Keep writing: your messages wait here and are sent when the "
    "app is back.",
    "id": "Aplikasi tidak dapat dihubungi. Teruslah menulis: tulisan Anda disimpan di sini dan "
    "dikirim saat aplikasi tersambung lagi.",
}


class Apps:
    """The app of one realm, as a process that can be killed and comes back at the same port."""

    def __init__(self, folder: Path, realm: RealServer) -> None:
        self.folder = folder
        self.realm = realm
        self.app: App | None = None
        self.port = 0
        self._starts = 0

    def start(self) -> None:
        folder = self.folder / f"start-{self._starts}"
        folder.mkdir()
        self._starts += 1
        options = ["--server", self.realm.url]
        if self.port:
            options += ["--port", str(self.port)]
        self.app = App(folder, *options)
        self.port = self.app.port

    def kill(self) -> None:
        assert self.app is not None
        self.app.kill()

    def stop(self) -> None:
        assert self.app is not None
        self.app.stop()


@dataclass
class Place:
    browser: Browser
    realm: RealServer
    bob: ChatClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    realm = RealServer(tmp_path_factory.mktemp("realm"))
    await asyncio.to_thread(realm.start)
    async with chromium() as browser:
        bob = await account(realm, "bob")
        yield Place(browser, realm, bob)
        await bob.__aexit__(None, None, None)
    realm.kill()


@pytest.fixture
def apps(tmp_path: Path, place: Place) -> Iterator[Apps]:
    found = Apps(tmp_path, place.realm)
    found.start()
    yield found
    found.kill()


async def sit(place: Place, proxy: Proxy, name: str, **options: Any) -> Typist:
    """Have somebody new sit down, with a chat with bob open."""
    client = await account(place.realm, name)
    await place.bob.send(name, "hello")
    return await sit_down(place.browser, proxy, client, "/c/bob", **options)


async def rise(typist: Typist) -> None:
    assert typist.errors == []
    await typist.close()
    await typist.client.__aexit__(None, None, None)


async def see(typist: Typist, name: str) -> None:
    await typist.page.wait_for_timeout(400)
    await asyncio.to_thread(PICTURES.mkdir, exist_ok=True)
    await typist.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.mark.parametrize(
    "language, colours, size",
    [("en", "light", DESKTOP), ("id", "dark", PHONE)],
    ids=["desktop", "phone"],
)
async def test_a_page_goes_on_when_the_app_is_killed(
    place: Place, apps: Apps, language: str, colours: str, size: dict[str, int]
) -> None:
    name = f"ana-{language}"
    hears = size is PHONE  # where the box gets the focus by a tap, and so has to be found
    async with Proxy(apps.port) as proxy:
        ana = await sit(
            place, proxy, name, locale=language, color_scheme=colours, viewport=size, hears=hears
        )
        if hears:
            await ana.page.get_by_role("textbox").click()
        await ana.until_box("")
        await ana.types("before")
        assert await ana.texts("bob", 2) == ["hello", "before"]
        await asyncio.to_thread(apps.kill)
        alert = ana.page.get_by_role("alert")
        await expect(alert).to_contain_text(AWAY[language], timeout=LIMIT)
        await ana.types("sent while away", "and another")
        await ana.page.keyboard.type("half a sen", delay=KEY)
        await expect(alert).to_contain_text("and another")
        await see(ana, f"page-{language}-away")
        assert await ana.box() == "half a sen"
        await asyncio.to_thread(apps.start)
        await alert.wait_for(state="detached", timeout=LIMIT)
        await ana.texts("bob", 4)
        if hears:
            await listen(ana.page)
            await ana.page.get_by_role("textbox").click()
        await ana.until_box("half a sen")
        await see(ana, f"page-{language}-back")
        await ana.types("tence")
        wanted = ["hello", "before", "sent while away", "and another", "half a sentence"]
        assert await ana.texts("bob", 5) == wanted
        await rise(ana)


async def kept(typist: Typist) -> str:
    """Everything that the browser keeps for this tab and this page."""
    storages = "JSON.stringify([{...sessionStorage}, {...localStorage}])"
    return str(await typist.page.evaluate(storages))


async def test_lines_under_way_when_the_app_dies_arrive_once(place: Place, apps: Apps) -> None:
    """It dies again and again while somebody types, who notices nothing of it."""
    lines = [f"line {n}" for n in range(24)]
    async with Proxy(apps.port) as proxy:
        ana = await sit(place, proxy, "ana-lines")
        await ana.until_box("")
        ana.far(100)
        typing = asyncio.create_task(ana.types(*lines))
        for _ in range(3):
            await asyncio.sleep(3)  # they type on, whatever happens
            await asyncio.to_thread(apps.kill)
            await asyncio.sleep(1)
            await asyncio.to_thread(apps.start)
        await typing
        assert await ana.texts("bob", 1 + len(lines)) == ["hello", *lines]
        await rise(ana)


async def test_a_page_whose_network_breaks_keeps_its_session(place: Place, apps: Apps) -> None:
    """Nothing is loaded anew, and what is typed stays under the person's fingers."""
    async with Proxy(apps.port) as proxy:
        ana = await sit(place, proxy, "ana-network")
        await ana.until_box("")
        await ana.page.evaluate("window.same = true")
        for n in range(3):
            await ana.page.keyboard.type(f"a{n} ", delay=KEY)
            await proxy.refuse()
            proxy.cut()
            await ana.page.keyboard.type(f"b{n} ", delay=KEY)
            if n == 2:
                await expect(ana.page.get_by_role("alert")).to_be_visible(timeout=LIMIT)
                await ana.types("")
                await ana.page.keyboard.type("c", delay=KEY)
            await proxy.accept()
            await expect(ana.page.get_by_role("alert")).to_be_hidden(timeout=LIMIT)
        assert await ana.texts("bob", 2) == ["hello", "a0 b0 a1 b1 a2 b2 "]
        await ana.until_box("c")
        await place.bob.send("ana-network", "you are back")
        await ana.types("")
        assert await ana.texts("bob", 4) == ["hello", "a0 b0 a1 b1 a2 b2 ", "you are back", "c"]
        assert await ana.page.evaluate("window.same")
        await rise(ana)


async def test_a_connection_that_is_silent_is_noticed_and_left(place: Place, apps: Apps) -> None:
    """As when a laptop wakes up in another network: no close ever comes."""
    async with Proxy(apps.port) as proxy:
        ana = await sit(place, proxy, "ana-silent")
        await ana.until_box("")
        await ana.page.evaluate("window.same = true")
        proxy.black_hole = True
        await ana.types("into the dark")
        await expect(ana.page.get_by_role("alert")).to_be_visible(timeout=LIMIT)
        proxy.black_hole = False
        assert await ana.texts("bob", 2) == ["hello", "into the dark"]
        assert await ana.page.evaluate("window.same")
        await rise(ana)


async def test_the_notice_went_before_the_page_was_loaded_anew(place: Place, apps: Apps) -> None:
    """The page was taken for one that is served again, and what was typed then was for nobody."""
    async with Proxy(apps.port) as proxy:
        ana = await sit(place, proxy, "ana-notice")
        await ana.until_box("")
        await asyncio.to_thread(apps.kill)
        await expect(ana.page.get_by_role("alert")).to_be_visible(timeout=LIMIT)
        await ana.page.evaluate(
            "new MutationObserver(([{target}]) => { if (target.hidden) sessionStorage.went = 1 })"
            ".observe(document.getElementById('away'), {attributeFilter: ['hidden']})"
        )
        async with ana.page.expect_event("load", timeout=LIMIT):
            await asyncio.to_thread(apps.start)
        assert await ana.page.evaluate("sessionStorage.went") is None
        await ana.until_box("")
        await rise(ana)


async def test_nothing_secret_is_kept_and_nothing_after_signing_out(
    place: Place, apps: Apps
) -> None:
    async with Proxy(apps.port) as proxy:
        ana = await sit(place, proxy, "ana-secret")
        await ana.until_box("")
        for line in ("/passwd hunter22 hunter23", "/pasword hunter22", "/auth x hunter22"):
            await ana.page.keyboard.type(line)
            await ana.until_box(line)
            assert "hunter" not in await kept(ana)
            await ana.page.keyboard.press("Control+A")
            await ana.page.keyboard.press("Delete")
        await ana.page.keyboard.type("/send bob half")
        await ana.until_box("/send bob half")
        await asyncio.to_thread(apps.kill)
        await expect(ana.page.get_by_role("alert")).to_be_visible(timeout=LIMIT)
        await ana.page.keyboard.press("Enter")
        await ana.until_box("/send bob half")  # commands do not wait
        assert "/send bob half" in await kept(ana)
        # Until then Enter would leave it in its box: the page that goes cannot send it.
        async with ana.page.expect_event("load", timeout=LIMIT):
            await asyncio.to_thread(apps.start)
        await ana.until_box("/send bob half")
        await ana.page.keyboard.type(" done")
        await ana.types("")
        await ana.texts("bob", 2)
        await ana.page.keyboard.type("a draft of mine")
        await ana.until_box("a draft of mine")
        assert "a draft of mine" in await kept(ana)
        await ana.page.keyboard.press("Control+A")
        await ana.page.keyboard.press("Delete")
        await ana.page.keyboard.type("other draft")
        await ana.until_box("other draft")
        await ana.page.keyboard.press("Alt+ArrowUp")
        await ana.client.logout()  # ends this token, as in another window
        await ana.page.wait_for_function("() => !sessionStorage['chat.kept']")
        assert "other draft" not in await kept(ana)
        await rise(ana)


async def test_drafts_of_several_conversations_come_back(place: Place, apps: Apps) -> None:
    async with Proxy(apps.port) as proxy:
        ana = await sit(place, proxy, "ana-drafts")
        await ana.until_box("")
        carl = await account(place.realm, "carl")
        await carl.send("ana-drafts", "hello")
        await ana.page.keyboard.type("for bob")
        await ana.page.keyboard.press("Alt+ArrowUp")
        await ana.page.keyboard.type("for carl", delay=KEY)
        await ana.until_box("for carl")
        await ana.place("carl")
        await asyncio.to_thread(apps.kill)
        await expect(ana.page.get_by_role("alert")).to_be_visible(timeout=LIMIT)
        await ana.page.keyboard.type(", later", delay=KEY)
        async with ana.page.expect_event("load", timeout=LIMIT):
            await asyncio.to_thread(apps.start)
        await ana.until_box("for carl, later")
        assert json.loads(await ana.page.evaluate("sessionStorage['chat.kept']"))["drafts"] == [
            ["bob", "for bob"],
            ["carl", "for carl, later"],
        ]
        await ana.page.keyboard.press("Alt+ArrowDown")
        await ana.until_box("for bob")
        await rise(ana)
        await carl.__aexit__(None, None, None)
