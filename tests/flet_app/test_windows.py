"""Windows of people who come, sign in and look around, without a talk that goes before."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.flet_app.talk import Room, room
from tests.realserver import RealServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest_asyncio.fixture
async def windows(web_realm: RealServer) -> AsyncIterator[Room]:
    async with room(web_realm.web_url) as found:
        yield found


async def test_a_token_and_no_password_is_kept(windows: Room) -> None:
    ana = "vera"
    a = await windows.registered(ana)
    kept = await a.page.evaluate("JSON.stringify(Object.entries(localStorage))")
    assert "chat.token" in kept and "secret12" not in kept
    later = await windows.beside(a)
    await later.button("New chat").wait_for()
    await later.menu("Sign out")
    await later.button("Sign in").wait_for()
    # The token has ended, so the other window says so.
    await a.button("Sign in").wait_for()
    await a.page.bring_to_front()
    await a.fill(Username=ana, Password="wrong-one")
    await a.button("Sign in").click()
    await a.is_told("The username or the password is wrong.")
    await a.picture("wrong-password")
    await a.fill(Username=ana, Password="secret12")
    await a.button("Sign in").click()
    await a.button("New chat").wait_for()


async def test_colours_and_language_are_kept(windows: Room) -> None:
    ana = "hugo"
    a = await windows.registered(ana)
    await a.chat(ana)
    await a.say("A note to myself")
    await a.menu("Dark colours")
    await a.menu("Bahasa Indonesia")
    await a.button("Obrolan baru").wait_for()
    await a.page.get_by_role("textbox", name="Tulis pesan").wait_for()
    await a.picture("dark-indonesian")
    later = await windows.beside(a)
    await later.button("Obrolan baru").wait_for()
    await later.button("Menu").click()
    await later.page.get_by_role("menuitem", name="Warna terang").wait_for()


async def test_everything_is_reached_by_keys(windows: Room) -> None:
    """Signing in, opening a chat and writing, without a pointer."""
    ana = "lena"
    a = await windows.registered(ana)
    await a.menu("Sign out")
    await a.button("Sign in").wait_for()
    await a.box("Username").focus()
    await a.page.keyboard.type(ana)
    await a.page.keyboard.press("Tab")
    await a.page.wait_for_timeout(300)
    await a.page.keyboard.type("secret12")
    await a.page.keyboard.press("Enter")
    await a.button("New chat").wait_for()
    await a.tab_to("New chat")
    await a.page.keyboard.press("Enter")
    await a.box("Person").wait_for()
    await a.page.wait_for_timeout(300)
    await a.page.keyboard.type(ana)
    await a.page.keyboard.press("Enter")
    await a.box().wait_for()
    await a.tab_to("Write a message")
    await a.page.keyboard.type("without a mouse")
    await a.page.keyboard.press("Enter")
    await a.sees("without a mouse", "stored")


async def test_two_people_talk_and_see_what_became_of_it(windows: Room) -> None:
    ana, bob = "nora", "omar"
    a, b = await windows.registered(ana), await windows.registered(bob)
    await a.picture("nothing-yet")
    await a.chat(bob)
    await a.say("Hello 👋")
    await a.sees("Hello", ana, "delivered")
    await b.until_title("(1) Simple Chatting")
    await expect(b.conversation(ana)).to_contain_text("1 unread")
    await b.open(ana)
    await a.sees("Hello", "read")
    await b.until_title("Simple Chatting")
    await b.say("Hi! 你好 مرحبا नमस्ते")
    await a.sees("你好", bob)
    assert "stored" not in (await a.messages())[-1]
    await a.picture("two-people")
