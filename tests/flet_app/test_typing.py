"""What is typed arrives, whole and once, however far away the app is; see docs/app.md, Writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from shared.client import ChatClient
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


@pytest.mark.parametrize("round_trip", [0, 100, 300])
async def test_lines_typed_without_pause_lost_letters(ana: Typist, round_trip: int) -> None:
    ana.far(round_trip)
    await ana.types(*LINES)
    assert await ana.texts("bob", 1 + len(LINES)) == ["hello", *LINES]
    await ana.until_box("")


@pytest.mark.parametrize("round_trip", [0, 100, 300])
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
