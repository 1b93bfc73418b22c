"""A page outlives the app's process: nothing that is written meanwhile is lost; see docs/app.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

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
    "en": "The app cannot be reached. Write on: it is kept here and sent when the app is back.",
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


async def sit(
    place: Place, proxy: Proxy, name: str, peer: str = "bob", **options: object
) -> Typist:
    client = await account(place.realm, name)
    await place.bob.send(name, "hello")
    return await sit_down(place.browser, proxy, client, f"/c/{peer}", **options)  # type: ignore[arg-type]


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
        assert ana.errors == []
        await ana.close()
