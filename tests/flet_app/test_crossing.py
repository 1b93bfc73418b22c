"""Text typed for one person never goes to another, however slow the app is; see docs/app.md."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from shared.client import ChatClient
from tests.flet_app.apps import App
from tests.flet_app.chromium import LIMIT
from tests.flet_app.typist import KEY, Spot, Typist, account, chromium, middle, sit_down
from tests.proxy import Proxy
from tests.realserver import RealServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
LONG = 5.0
"""Seconds for which the app is stopped: longer than the page once waited for it."""
NAMES = count()


@dataclass
class Place:
    browser: Browser
    realm: RealServer
    app: App
    proxy: Proxy
    people: dict[str, ChatClient]
    tiles: dict[str, Spot]
    """Where they are in the list of a typist, in pixels."""
    send: Spot

    @asynccontextmanager
    async def app_stopped(self) -> AsyncIterator[None]:
        """Have the app do nothing meanwhile, and for long after."""
        self.app.process.send_signal(signal.SIGSTOP)
        try:
            yield
            await asyncio.sleep(LONG)
        finally:
            self.app.process.send_signal(signal.SIGCONT)

    async def typist(self, *, hears: bool = False) -> Typist:
        """Somebody new, with a chat with bob open and the box ready; carl is above bob."""
        self.proxy.delay = 0
        client = await account(self.realm, f"ana{next(NAMES)}")
        for peer in self.people.values():
            await peer.send(client.user, "hello")
        return await sit_down(self.browser, self.proxy, client, "/c/bob", hears=hears)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    realm = RealServer(tmp_path_factory.mktemp("realm"))
    await asyncio.to_thread(realm.start)
    app = App(tmp_path_factory.mktemp("app"), "--server", realm.url)
    try:
        async with chromium() as browser, Proxy(app.port) as proxy:
            people = {name: await account(realm, name) for name in ("bob", "carl")}
            found = Place(browser, realm, app, proxy, people, {}, (0, 0))
            scout = await found.typist(hears=True)
            await scout.until_box("")
            tiles = scout.page.get_by_test_id("conversation")
            await tiles.last.wait_for()
            found.tiles = {peer: await middle(tiles.filter(has_text=peer)) for peer in people}
            button = scout.page.get_by_role("button", name="Send", exact=True)
            found.send = await middle(button)
            await scout.close()
            yield found
            for one in (scout.client, *people.values()):
                await one.__aexit__(None, None, None)
    finally:
        app.kill()
        realm.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def ana(place: Place) -> AsyncIterator[Typist]:
    typist = await place.typist()
    await typist.until_box("")
    await typist.place("bob")
    await typist.page.wait_for_timeout(500)  # until no key is held any more
    yield typist
    typist.far(0)
    assert typist.errors == []
    await typist.close()
    await typist.client.__aexit__(None, None, None)


async def said(typist: Typist, peer: str) -> list[str]:
    """What the typist has said to somebody, once the app knows all that the page does."""
    return (await typist.texts(peer, 1))[1:]


async def drafts(typist: Typist) -> dict[str, str]:
    kept = await typist.page.evaluate("sessionStorage['chat.kept'] ?? '{}'")
    return dict(json.loads(kept).get("drafts", []))


async def go(typist: Typist, place: Place, way: str, peer: str) -> None:
    """Lead to a conversation, without waiting for anything."""
    if way == "click":
        await typist.click(place.tiles[peer])
    elif way == "arrow":
        await typist.page.keyboard.press("Alt+ArrowUp" if peer == "carl" else "Alt+ArrowDown")
    else:
        await typist.page.keyboard.press("Control+K")
        await typist.page.keyboard.type(peer)
        await typist.page.keyboard.press("Enter")


@pytest.mark.parametrize("round_trip, slowness", [(0, 1), (300, 1), (100, 6)])
async def test_a_draft_went_on_into_the_next_conversation(
    ana: Typist, place: Place, round_trip: int, slowness: int
) -> None:
    """What was held when one jumped on was put into the box to which the jump led."""
    ana.far(round_trip)
    await ana.cdp.send("Emulation.setCPUThrottlingRate", {"rate": slowness})
    await ana.page.keyboard.type("for bob")
    for peer, text in (("carl", "for carl"), ("bob", " and more"), ("carl", " and more")):
        await go(ana, place, "arrow", peer)
        await ana.page.keyboard.type(text)
    await ana.until_box("for carl and more")
    assert await drafts(ana) == {"bob": "for bob and more", "carl": "for carl and more"}
    await go(ana, place, "arrow", "bob")
    await ana.until_box("for bob and more")


@pytest.mark.parametrize("way", ["arrow", "click", "search"])
async def test_a_message_typed_while_the_app_was_slow_went_to_the_one_before(
    ana: Typist, place: Place, way: str
) -> None:
    """Keys were held for 4 s, and then put into the box that was there."""
    async with place.app_stopped():
        for peer in ("carl", "bob", "carl"):
            await go(ana, place, way, peer)
            await ana.page.keyboard.type(f"for {peer}")
            if way != "arrow":  # by which one comes to another one when the order changes
                await ana.page.keyboard.press("Enter")
    if way == "arrow":
        await ana.until_box("for carlfor carl")
        assert await drafts(ana) == {"bob": "for bob", "carl": "for carlfor carl"}
    else:
        assert await ana.texts("carl", 3) == ["hello", "for carl", "for carl"]
        assert await ana.texts("bob", 2) == ["hello", "for bob"]


@pytest.mark.parametrize("hears", [False, True], ids=["sees", "hears"])
async def test_a_click_beside_everything_put_what_was_typed_into_the_box_before(
    place: Place, hears: bool
) -> None:
    ana = await place.typist(hears=hears)
    await ana.until_box("")
    await ana.place("bob")
    await ana.page.keyboard.type("half for bob", delay=KEY)
    await ana.until_box("half for bob")
    async with place.app_stopped():
        await go(ana, place, "arrow", "carl")
        await ana.page.keyboard.type("for carl")
        await ana.click((800, 300))
        await ana.page.keyboard.press("Enter")
        await ana.page.wait_for_timeout(1000)
    assert await ana.texts("carl", 2) == ["hello", "for carl"]
    assert await said(ana, "bob") == []
    await go(ana, place, "arrow", "bob")
    await ana.until_box("half for bob")
    assert ana.errors == []
    await ana.close()
    await ana.client.__aexit__(None, None, None)


async def test_the_button_sent_the_draft_of_the_one_before(ana: Typist, place: Place) -> None:
    await ana.page.keyboard.type("half for bob", delay=KEY)
    await ana.until_box("half for bob")
    async with place.app_stopped():
        await go(ana, place, "arrow", "carl")
        await ana.page.keyboard.type("for carl")
        await ana.click(place.send)
        await ana.page.keyboard.type("half for carl")
    assert await ana.texts("carl", 2) == ["hello", "for carl"]
    await ana.until_box("half for carl")
    assert await said(ana, "bob") == []
    assert await drafts(ana) == {"bob": "half for bob", "carl": "half for carl"}


async def test_a_message_went_to_the_one_before_when_the_connection_broke(
    ana: Typist, place: Place
) -> None:
    """Nobody knows where Alt+Up has led then: it waits in the box that is shown, unsent."""
    async with place.app_stopped():
        await go(ana, place, "arrow", "carl")
        await ana.types("for carl", "and on")
        await place.proxy.refuse()
        place.proxy.cut()
        try:
            await ana.until_box("for carl\nand on\n")
        finally:
            await place.proxy.accept()
    await ana.page.wait_for_timeout(3000)
    assert (await said(ana, "carl"), await said(ana, "bob")) == ([], [])
    assert [text.strip() for text in (await drafts(ana)).values()] == ["for carl\nand on"]


@pytest.mark.parametrize("slow", [False, True], ids=["at-once", "slow"])
async def test_a_draft_that_just_came_back_could_not_be_taken_out(
    ana: Typist, place: Place, slow: bool
) -> None:
    """Keys that edit were dropped as long as others were held."""
    await ana.page.keyboard.type("half for bob", delay=KEY)
    await go(ana, place, "arrow", "carl")
    await ana.page.keyboard.type("one")
    await ana.page.keyboard.press("Shift+Enter")
    await ana.page.keyboard.type("two \U0001f44d")
    await go(ana, place, "arrow", "bob")
    await ana.until_box("half for bob")
    await ana.page.wait_for_timeout(500)
    async with place.app_stopped() if slow else nullcontext():
        await go(ana, place, "arrow", "carl")
        for key in ("Home", "Delete", "End", "ArrowLeft", "Backspace", "ArrowRight", "x"):
            await ana.page.keyboard.press(key)
        await go(ana, place, "arrow", "bob")
        await ana.page.keyboard.press("Control+A")
        await ana.page.keyboard.press("Delete")
        await ana.page.keyboard.type("ana")
        await ana.page.keyboard.press("Control+A")
        await ana.page.keyboard.type("other")
    await ana.until_box("other")
    assert await drafts(ana) == {"bob": "other", "carl": "one\nwo\U0001f44dx"}
    await go(ana, place, "arrow", "carl")
    await ana.until_box("one\nwo\U0001f44dx")


async def test_edits_meant_for_the_next_box_changed_the_one_before(
    ana: Typist, place: Place
) -> None:
    """Also a word in a pasted text was taken for the key of that name."""
    await ana.page.keyboard.type("half for bob", delay=KEY)
    await go(ana, place, "arrow", "carl")
    await ana.until_box("")
    await ana.page.keyboard.type("half for carlo", delay=KEY)
    await go(ana, place, "arrow", "bob")
    await ana.until_box("half for bob")
    await ana.page.wait_for_timeout(500)
    async with place.app_stopped():
        await go(ana, place, "arrow", "carl")
        for key in ("Backspace", "ArrowLeft", "ArrowLeft", "Delete", "End", "Control+Z"):
            await ana.page.keyboard.press(key)
        await ana.paste(", Enter")
        await ana.page.keyboard.type("!\U0001f44d\U0001f44d")
        await ana.page.keyboard.press("Backspace")
        await ana.paste("Enter")
    await ana.until_box("half for cal, Enter!\U0001f44dEnter")
    assert (await drafts(ana))["bob"] == "half for bob"
    await go(ana, place, "arrow", "bob")
    await ana.until_box("half for bob")
    assert (await said(ana, "carl"), await said(ana, "bob")) == ([], [])


async def test_enter_behind_a_conversion_sent_the_draft_of_another_one(
    ana: Typist, place: Place
) -> None:
    """An input method writes into the box that is there; its Enter is for no other one."""
    await go(ana, place, "arrow", "carl")
    await ana.until_box("")
    await ana.page.keyboard.type("half for carl", delay=KEY)
    await go(ana, place, "arrow", "bob")
    await ana.until_box("")
    await ana.page.wait_for_timeout(500)
    async with place.app_stopped():
        await go(ana, place, "arrow", "carl")
        await ana.compose("nihongo")
        await ana.cdp.send("Input.insertText", {"text": "日本語"})
        await ana.page.keyboard.press("Enter")
    await ana.until_box("half for carl")
    assert (await said(ana, "carl"), await said(ana, "bob")) == ([], [])
    assert await drafts(ana) == {"bob": "日本語", "carl": "half for carl"}


async def test_a_message_typed_after_going_back_went_to_the_one_before(
    ana: Typist, place: Place
) -> None:
    await go(ana, place, "arrow", "carl")
    await ana.place("carl")
    await ana.page.wait_for_timeout(500)
    async with place.app_stopped():
        await ana.page.evaluate("history.back()")
        await ana.page.wait_for_function("() => location.pathname === '/c/bob'")
        await ana.page.keyboard.type("for bob")
        await ana.page.keyboard.press("Enter")
    assert await ana.texts("bob", 2) == ["hello", "for bob"]
    assert await said(ana, "carl") == []


async def test_there_and_back_at_once_led_there_again(ana: Typist, place: Place) -> None:
    """The browser's news of the address that the app had set came when one was back already."""
    ana.far(600)
    for peer in ("carl", "bob"):
        await go(ana, place, "arrow", peer)
    await ana.page.wait_for_timeout(2500)
    await ana.types("for bob")
    assert await ana.texts("bob", 2) == ["hello", "for bob"]
    await ana.place("bob")
    assert await said(ana, "carl") == []


async def test_a_message_to_a_group_that_one_is_removed_from_comes_to_nobody_else(
    ana: Typist, place: Place
) -> None:
    bob, name = place.people["bob"], ana.client.user
    group = (await bob.creategroup(f"team of {name}")).group
    await bob.invitegroup(group, name)
    await ana.page.wait_for_function("() => document.title.startsWith('(')", timeout=LIMIT)
    await go(ana, place, "search", "team")
    await ana.page.wait_for_function("() => location.pathname.startsWith('/g/')", timeout=LIMIT)
    await ana.until_box("")
    await ana.page.wait_for_timeout(500)
    async with place.app_stopped():
        await bob.kick(group, name)
        await ana.types("for the team", "and more")
        await go(ana, place, "search", "bob")
        await ana.page.keyboard.type("for bob")
    await ana.until_box("for bob")
    assert (await said(ana, "bob"), await said(ana, "carl")) == ([], [])
    assert await drafts(ana) == {"bob": "for bob"}
