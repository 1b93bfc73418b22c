"""Typed text arrives completely and once, however distant the app is; see docs/app.md, Writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from shared.client import ChatClient
from shared.protocol.values import MAX_TEXT
from tests.flet_app.png import write_png
from tests.flet_app.typist import KEY, Spot, Typist, account, chromium, middle, sit_down
from tests.proxy import Proxy
from tests.realserver import RealServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    # One browser for all: starting the engine in a new one takes seconds.
    pytest.mark.asyncio(loop_scope="module"),
]
LINES = [f"line {n} fox" for n in range(8)]
NAMES = count()


@dataclass
class Desk:
    browser: Browser
    server: RealServer
    proxy: Proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(web_realm: RealServer) -> AsyncIterator[Desk]:
    async with chromium() as browser, Proxy(web_realm.web_port) as proxy:
        yield Desk(browser, web_realm, proxy)


@dataclass
class Spots:
    """Where things are in the windows of a typist, in pixels."""

    tiles: dict[str, Spot]
    send: Spot


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(desk: Desk) -> AsyncIterator[dict[str, ChatClient]]:
    """Those with whom a typist has a chat, and the typist whose list has been looked at."""
    made = {name: await account(desk.server, name) for name in ("bob", "carl")}
    yield made
    for client in made.values():
        await client.__aexit__(None, None, None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spots(desk: Desk, people: dict[str, ChatClient]) -> Spots:
    """Look where things are, in a window of somebody with the same list."""
    name = f"ana{next(NAMES)}"
    client = await account(desk.server, name)
    for peer in people.values():
        await peer.send(name, "hello")
    scout = await sit_down(desk.browser, desk.proxy, client, "/c/bob", hears=True)
    tiles = scout.page.get_by_test_id("conversation")
    found = Spots(
        {peer: await middle(tiles.filter(has_text=peer)) for peer in people},
        await middle(scout.page.get_by_role("button", name="Send", exact=True)),
    )
    await scout.close()
    await client.__aexit__(None, None, None)
    return found


async def at_desk(desk: Desk, people: dict[str, ChatClient], **options: Any) -> Typist:
    """Somebody new, with a chat with bob open and the box ready; carl is above bob."""
    desk.proxy.delay = 0
    name = f"ana{next(NAMES)}"
    client = await account(desk.server, name)
    for peer in people.values():
        await peer.send(name, "hello")
    typist = await sit_down(desk.browser, desk.proxy, client, "/c/bob", **options)
    await typist.until_box("")
    await typist.place("bob")
    return typist


@pytest_asyncio.fixture(loop_scope="module")
async def ana(desk: Desk, people: dict[str, ChatClient]) -> AsyncIterator[Typist]:
    typist = await at_desk(desk, people)
    yield typist
    await leave(typist)


@pytest_asyncio.fixture(loop_scope="module", params=[False, True], ids=["sees", "hears"])
async def anybody(
    request: pytest.FixtureRequest, desk: Desk, people: dict[str, ChatClient]
) -> AsyncIterator[Typist]:
    """With and without a screen reader, for which the engine has boxes of another kind."""
    typist = await at_desk(desk, people, hears=request.param)
    yield typist
    await leave(typist)


async def leave(typist: Typist) -> None:
    typist.far(0)
    assert typist.errors == []
    await typist.close()
    await typist.client.__aexit__(None, None, None)


@pytest.mark.parametrize("round_trip", [0, 300])
async def test_lines_typed_without_pause_lost_letters(ana: Typist, round_trip: int) -> None:
    ana.far(round_trip)
    await ana.types(*LINES)
    assert await ana.texts("bob", 1 + len(LINES)) == ["hello", *LINES]
    await ana.until_box("")


@pytest.mark.parametrize("round_trip", [0, 300])
async def test_what_was_typed_right_after_a_click_was_lost(
    anybody: Typist, spots: Spots, round_trip: int
) -> None:
    """Nothing is sent before the end, for that would change the order of the list."""
    anybody.far(round_trip)
    for n in range(3):
        for peer in ("carl", "bob"):
            await anybody.click(spots.tiles[peer])
            await anybody.page.keyboard.type(f"to {peer} {n} ", delay=KEY)
    await anybody.types("")
    assert await anybody.texts("bob", 2) == ["hello", "to bob 0 to bob 1 to bob 2 "]
    await anybody.page.keyboard.press("Alt+ArrowDown")
    await anybody.until_box("to carl 0 to carl 1 to carl 2 ")


async def test_ctrl_k_a_name_enter_and_a_text_are_typed_in_one_go(anybody: Typist) -> None:
    anybody.far(300)
    await anybody.page.keyboard.press("Control+K")
    await anybody.types("carl", "found you")
    await anybody.page.keyboard.press("Control+K")
    await anybody.types("bob", "and you")
    assert await anybody.texts("carl", 2) == ["hello", "found you"]
    assert await anybody.texts("bob", 2) == ["hello", "and you"]


async def test_the_button_sends_and_one_types_on(anybody: Typist, spots: Spots) -> None:
    anybody.far(300)
    for n in range(3):
        await anybody.page.keyboard.type(f"by mouse {n}", delay=KEY)
        await anybody.click(spots.send)
    await anybody.types("by key")
    wanted = ["hello", *(f"by mouse {n}" for n in range(3)), "by key"]
    assert await anybody.texts("bob", 5) == wanted
    await anybody.until_box("")


async def test_letters_stay_where_they_were_seen_while_the_conversation_changes(
    anybody: Typist,
) -> None:
    """Alt+arrow leads to a neighbour: carl is above bob."""
    anybody.far(300)
    for n in range(3):
        for peer, key in (("bob", "ArrowUp"), ("carl", "ArrowDown")):
            await anybody.page.keyboard.type(f"to {peer} {n} ", delay=KEY)
            await anybody.page.keyboard.press(f"Alt+{key}")
    await anybody.types("")
    assert await anybody.texts("bob", 2) == ["hello", "to bob 0 to bob 1 to bob 2 "]
    await anybody.page.keyboard.press("Alt+ArrowDown")
    await anybody.until_box("to carl 0 to carl 1 to carl 2 ")


@pytest.mark.parametrize("is_safari", [False, True], ids=["others", "safari"])
async def test_enter_that_ends_a_conversion_sent_what_was_unfinished(
    ana: Typist, is_safari: bool
) -> None:
    """Safari ends the composition before it tells of the key, and only its number is then left."""
    ana.far(100)
    for said in ("日本", "語"):
        await ana.compose("nihongo")
        await ana.compose(said)
        if is_safari:
            await ana.cdp.send("Input.insertText", {"text": said})
        await ana.key("rawKeyDown", "Enter", 229)
        if not is_safari:
            await ana.cdp.send("Input.insertText", {"text": said})
        await ana.key("keyUp", "Enter", 13)
    await ana.until_box("日本語")
    await ana.page.keyboard.press("Enter")
    assert await ana.texts("bob", 2) == ["hello", "日本語"]
    await ana.until_box("")


async def test_lines_pasted_text_and_half_an_emoji(ana: Typist) -> None:
    ana.far(300)
    await ana.page.keyboard.type("first", delay=KEY)
    await ana.page.keyboard.press("Shift+Enter")
    await ana.types("second")
    await ana.paste("pasted\nin lines")
    await ana.types(" and typed", "then this")
    await ana.page.keyboard.insert_text("cut \ud83d")
    await ana.types("", "the end")
    wanted = ["hello", "first\nsecond", "pasted\nin lines and typed", "then this"]
    assert await ana.texts("bob", 6) == [*wanted, "cut \ufffd", "the end"]


async def test_enter_that_is_held_down_sends_once(ana: Typist) -> None:
    ana.far(100)
    await ana.page.keyboard.type("once", delay=KEY)
    for _ in range(20):
        await ana.page.keyboard.down("Enter")
    await ana.page.keyboard.up("Enter")
    await ana.types("again")
    assert await ana.texts("bob", 3) == ["hello", "once", "again"]
    await ana.until_box("")


async def test_a_text_that_is_too_long_stays_in_the_box(ana: Typist) -> None:
    """Even one that is larger than any frame a page may send, which ended the connection."""
    ana.far(100)
    for size in (MAX_TEXT + 1, 200_000):
        text = "x" * size
        await ana.paste(text)
        await ana.until_box(text)
        await ana.page.keyboard.press("Enter")
        await ana.page.keyboard.type("yz", delay=KEY)
        await ana.until_box(text + "yz")
        await ana.page.keyboard.press("Control+A")
        await ana.page.keyboard.press("Delete")
        await ana.until_box("")
    await ana.types("short")
    assert await ana.texts("bob", 2) == ["hello", "short"]


async def test_a_completion_is_chosen_and_one_types_on(desk: Desk, anybody: Typist) -> None:
    other = await sit_down(desk.browser, desk.proxy, anybody.client, "/c/bob", hears=True)
    await other.page.get_by_role("textbox", name="Write a message").click()
    await other.page.keyboard.type("/sen")
    at = await middle(other.page.get_by_role("button").filter(has_text="/send <"))
    await other.close()
    anybody.far(300)
    await anybody.page.keyboard.type("/sen", delay=KEY)
    await anybody.page.wait_for_timeout(1000)  # until it is on the screen, which is a picture
    await anybody.click(at)
    await anybody.types("carl by completion", "and to bob")
    assert await anybody.texts("carl", 2) == ["hello", "by completion"]
    assert await anybody.texts("bob", 2) == ["hello", "and to bob"]


@pytest.mark.parametrize("script", ["", "delete Element.prototype.moveBefore"], ids=["new", "old"])
async def test_letters_after_files_were_chosen_were_lost_with_a_screen_reader(
    desk: Desk, people: dict[str, ChatClient], tmp_path: Path, script: str
) -> None:
    """A message that comes or goes on moves elements, and the box lost the focus with that.

    In older browsers nothing can be moved without losing it.
    """
    ana = await at_desk(desk, people, hears=True, script=script)
    assert await ana.page.evaluate("'moveBefore' in Element.prototype") is (not script)
    file = write_png(tmp_path / "p.png", 32, 20, lambda x, y: (x, y, 150))
    box = ana.page.get_by_role("textbox", name="Write a message")
    for n in range(2):
        async with ana.page.expect_file_chooser() as chooser:
            await ana.page.get_by_role("button", name="Attach file").click()
        await (await chooser.value).set_files(file)
        await box.click()
        await ana.page.keyboard.type(f"at once {n}, ", delay=KEY)
        await people["bob"].send(ana.client.user, f"meanwhile {n}")
        await ana.page.keyboard.type("and on", delay=KEY)
        await ana.until_box(f"at once {n}, and on")
        await ana.types("")
    sent = [text for text in await ana.texts("bob", 7) if "at once" in text]
    assert sent == [f"at once {n}, and on" for n in range(2)]
    await leave(ana)


async def test_a_slow_device_far_away_loses_nothing(ana: Typist, spots: Spots) -> None:
    ana.far(300)
    await ana.cdp.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    for n in range(2):
        await ana.page.keyboard.type(f"by mouse {n}", delay=KEY)
        await ana.click(spots.send)
        await ana.types(f"by key {n}")
    wanted = [text for n in range(2) for text in (f"by mouse {n}", f"by key {n}")]
    assert await ana.texts("bob", 5) == ["hello", *wanted]
    await ana.until_box("")
