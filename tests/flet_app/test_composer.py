"""Messages of the page's script, and their effects in the app; see script.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flet_app import sending
from flet_app.script import DraftFrame, HelloFrame, LineFrame, PageFrame, TooLongFrame
from shared.protocol.commands.accounts import Passwd
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page, Sent
from shared.protocol.commands.private import Send
from tests.flet_app.looking import Open, Window
from tests.flet_app.people import NOON, arrived, message


async def in_browser(window: Open, script: dict[Any, Any] | None = None) -> Window:
    """Open a window in a browser, with the chat with bob."""
    history = {History: lambda _: Page("bob", [message(1)], False)}
    w = await window({**history, **(script or {})}, in_browser=True)
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    return w


def say(w: Window, said: PageFrame) -> None:
    assert w.host.page_script is not None
    w.host.page_script.heard(said)


def told(w: Window, kind: str) -> list[dict[str, Any]]:
    return [one for one in w.unseen.told if one["kind"] == kind]


async def test_a_line_that_is_said_twice_is_sent_once(window: Open) -> None:
    answer = asyncio.get_running_loop().create_future()
    w = await in_browser(window, {Send: lambda _: answer})
    for _ in range(2):
        say(w, LineFrame("key", "bob", "hi"))
    await w.unseen.until(lambda: bool(w.host.last.heard_of(Send)))
    assert told(w, "done") == []
    answer.set_result(Sent("bob", 2, "m2", NOON, "stored"))
    await w.unseen.until(lambda: bool(told(w, "done")))
    say(w, LineFrame("key", "bob", "hi"))
    await w.unseen.until(lambda: len(told(w, "done")) == 2)
    assert [(r.text, r.idempotency_key) for r in w.host.last.heard_of(Send)] == [("hi", "key")]


async def test_a_line_that_cannot_wait_is_given_back(
    window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_WAITING_LINES", 1)
    never = asyncio.get_running_loop().create_future()
    w = await in_browser(window, {Send: lambda _: never})
    say(w, LineFrame("one", "bob", "first"))
    say(w, LineFrame("two", "bob", "second"))
    await w.unseen.until(lambda: told(w, "back") == [{"kind": "back", "key": "two"}])


async def test_a_command_is_done_before_it_runs_and_runs_once(window: Open) -> None:
    never = asyncio.get_running_loop().create_future()
    w = await in_browser(window, {Passwd: lambda _: never, Send: lambda _: never})
    for _ in range(2):
        say(w, LineFrame("key", "bob", "/passwd secret12 secret13"))
    await w.unseen.until(lambda: len(told(w, "done")) == 2)
    assert len(w.host.last.heard_of(Passwd)) == 1
    say(w, LineFrame("other", "bob", "/send bob by command"))
    await w.unseen.until(lambda: bool(w.host.last.heard_of(Send)))
    assert w.host.last.heard_of(Send)[0].idempotency_key == "other"


async def test_a_text_that_is_too_long_is_said_to_be(window: Open) -> None:
    w = await in_browser(window)
    say(w, TooLongFrame(20_000))
    await w.unseen.until(lambda: any("this one has 20,000" in text for text in w.unseen.texts()))


async def test_the_last_letters_of_a_box_that_is_gone_are_in_its_draft(window: Open) -> None:
    w = await in_browser(window)
    w.tell(arrived(1, "zed", conversation="zed"))
    await w.sees("zed")
    await w.open("zed")
    say(w, DraftFrame("bob", "half a sen"))
    say(w, DraftFrame("#7", "of a group that one has left"))
    await w.sees("Draft: half a sen")
    await w.open("bob")
    assert w.field("Write a message").value == "half a sen"
    assert told(w, "box")[-1]["text"] == "half a sen"


@pytest.mark.parametrize("user, draft", [("ana", "half"), ("zoe", "")])
async def test_drafts_come_back_to_the_one_who_wrote_them(
    window: Open, user: str, draft: str
) -> None:
    w = await in_browser(window)
    assert w.host.page_script is not None
    w.host.page_script.greet(HelloFrame("", user, {"bob": "half"}))
    assert w.field("Write a message").value == draft


async def test_the_page_is_told_who_is_here_and_when_nobody_is(window: Open) -> None:
    w = await in_browser(window)
    assert told(w, "user")[-1]["user"] == "ana"
    assert "send" in told(w, "user")[-1]["plain"]
    assert not {"passwd", "auth", "register"} & set(told(w, "user")[-1]["plain"])
    await w.press("Sign out")
    await w.unseen.until(lambda: bool(told(w, "forget")))
