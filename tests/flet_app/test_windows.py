"""A window of somebody who signs in, looks around, and leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.flet_app.talk import PASSWORD, Person, Room, room
from tests.realserver import RealServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    # One window for all: starting the engine in a new one takes seconds.
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(web_realm: RealServer) -> AsyncIterator[Room]:
    async with room(web_realm.web_url) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vera(browser: Room) -> Person:
    """Somebody who is signed in; tests leave her so."""
    return await browser.registered("vera")


async def test_colours_and_language_are_kept(browser: Room, vera: Person) -> None:
    await vera.chat("vera")
    await vera.say("A note to myself")
    await vera.menu("Dark colours")
    await vera.menu("Bahasa Indonesia")
    await vera.button("Obrolan baru").wait_for()
    await vera.box("Tulis pesan").wait_for()
    await vera.picture("dark-indonesian")
    async with browser.closing():
        later = await browser.beside(vera)
        await later.button("Obrolan baru").wait_for()
    await vera.page.bring_to_front()
    await vera.menu("English")
    await vera.button("New chat").wait_for()


async def test_everything_is_reached_by_keys(vera: Person) -> None:
    """Signing in, opening a chat and writing, without a pointer."""
    await vera.menu("Sign out")
    await vera.button("Sign in").wait_for()
    await vera.type_by_keys("Username", "vera")
    await vera.type_by_keys("Password", PASSWORD)
    await vera.page.keyboard.press("Enter")
    await vera.button("New chat").wait_for()
    await vera.tab_to("New chat")
    await vera.page.keyboard.press("Enter")
    await vera.box("Person").wait_for()
    await vera.type_by_keys("Person", "vera")
    await vera.page.keyboard.press("Enter")
    await vera.box().wait_for()
    await vera.type_by_keys("Write a message", "without a mouse")
    await vera.page.keyboard.press("Enter")
    await vera.sees("without a mouse", "stored")


async def test_a_token_and_no_password_is_kept(browser: Room, vera: Person) -> None:
    kept = await vera.page.evaluate("JSON.stringify(Object.entries(localStorage))")
    assert "chat.token" in kept and PASSWORD not in kept
    async with browser.closing():
        later = await browser.beside(vera)
        await later.button("New chat").wait_for()
        await later.menu("Sign out")
        await later.button("Sign in").wait_for()
    # The token has ended, so the other window says so.
    await vera.page.bring_to_front()
    await vera.button("Sign in").wait_for()
    wrong = vera.complaint("The username or the password is wrong.")
    await vera.submit("Sign in", wrong, Username="vera", Password="wrong-one")
    await vera.picture("wrong-password")
    await vera.submit("Sign in", vera.button("New chat"), Username="vera", Password=PASSWORD)
