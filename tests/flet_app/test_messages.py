"""The messages of an open conversation while somebody scrolls through them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import flet as ft

from shared.client import ChatError, ErrorCode, NotSent
from shared.client.notices import Offline, Online
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page
from shared.protocol.commands.private import ListPc, PrivateChats, Send
from tests.flet_app.looking import Open, history
from tests.flet_app.people import arrived, chat, message


async def test_scrolling_back_shows_older_ones_and_holds_new_ones_back(window: Open) -> None:
    rows = PrivateChats([chat("bob", 400, 400)])
    w = await window({ListPc: lambda _: rows, History: history(400)})
    await w.sees("bob")
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 50)
    await w.scroll(4900.0)
    await w.unseen.until(lambda: len(w.looks()) == 100)
    assert w.looks()[0].text == "text 301"
    w.tell(arrived(401), arrived(402))
    button = w.unseen.find(ft.FilledTonalButton)
    await w.unseen.until(lambda: button.content == "Jump to newest (2 new)")
    assert w.looks()[-1].text == "text 400"
    await w.scroll(0.0)
    await w.unseen.until(lambda: bool(w.looks()) and w.looks()[-1].text == "text 402")


async def test_older_messages_never_came_again_after_loading_them_had_failed_once(
    window: Open,
) -> None:
    rows = PrivateChats([chat("bob", 400, 400)])
    there = history(400)
    away = False

    def answer(request: History) -> Any:
        return NotSent("x") if away else there(request)

    w = await window({ListPc: lambda _: rows, History: answer})
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 50)
    away = True
    for _ in range(2):
        await w.scroll(4900.0)
        await w.sees("The server cannot be reached. Nothing was done; try again.")
    assert len(w.looks()) == 50
    away = False
    await w.scroll(4900.0)
    await w.unseen.until(lambda: len(w.looks()) == 100)
    button = w.unseen.find(ft.FilledTonalButton)
    assert button.content == "Jump to newest", "older ones are no new ones"
    w.tell(arrived(401))
    await w.unseen.until(lambda: button.content == "Jump to newest (1 new)")
    await w.scroll(4900.0)
    await w.unseen.until(lambda: w.looks()[0].text == "text 251")
    assert button.content == "Jump to newest (1 new)"


async def test_older_messages_that_failed_come_by_themselves_with_the_connection(
    window: Open,
) -> None:
    """At the very top there is nothing to scroll any more."""
    rows = PrivateChats([chat("bob", 400, 400)])
    there = history(400)
    away = False

    def answer(request: History) -> Any:
        return NotSent("x") if away and request.before else there(request)

    w = await window({ListPc: lambda _: rows, History: answer})
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 50)
    away = True
    await w.scroll(5000.0)
    w.tell(Offline("the connection broke", 0.5))
    away = False
    w.tell(Online("ana"))
    await w.unseen.until(lambda: len(w.looks()) == 100)


async def test_a_conversation_that_could_not_be_loaded_is_loaded_by_another_click(
    window: Open,
) -> None:
    refusals = [ChatError(ErrorCode.UNAVAILABLE, "The store does not answer")]
    there = history(3)
    rows = PrivateChats([chat("bob", 3, 3)])
    answer = {ListPc: lambda _: rows, History: lambda r: refusals.pop() if refusals else there(r)}
    w = await window(answer)
    await w.open("bob")
    await w.sees("The store does not answer")
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 3)


async def test_a_message_of_a_year_ahead_put_its_day_between_two_todays(window: Open) -> None:
    now = int(time.time() * 1000)
    times = {1: now - 86_400_000, 2: now + 365 * 86_400_000, 3: now - 1000, 4: now}

    def answer(_: History) -> Page:
        return Page("bob", [replace(message(n), time=at) for n, at in times.items()], False)

    w = await window({History: answer, ListPc: lambda _: PrivateChats([chat("bob", 4, 4)])})
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 4)
    assert [look.text for look in w.looks()] == ["text 1", "text 2", "text 3", "text 4"]
    assert [look.day for look in w.looks()] == ["Yesterday", "", "Today", ""]


async def test_what_was_sent_before_the_history_was_there_hid_it(window: Open) -> None:
    """As a page that comes back does, or somebody who writes at once, far away."""
    there, away = history(3), True

    def answer(request: History) -> Any:
        return NotSent("x") if away else there(request)

    chats, never = PrivateChats([chat("bob", 3, 3)]), asyncio.get_running_loop().create_future()
    w = await window({ListPc: lambda _: chats, History: answer, Send: lambda _: never})
    await w.open("bob")
    box = w.field("Write a message")
    box.value = "mine"
    await w.unseen.fire(box, "submit")
    await w.unseen.until(lambda: [look.text for look in w.looks()] == ["mine"])
    away = False
    await w.open("bob")
    wanted = ["text 1", "text 2", "text 3", "mine"]
    await w.unseen.until(lambda: [look.text for look in w.looks()] == wanted)
