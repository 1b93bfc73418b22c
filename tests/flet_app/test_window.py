"""What a window shows and costs, without a browser: the real screens over a scripted client."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import flet as ft
import pytest
import pytest_asyncio

from flet_app.main import start
from flet_app.parts.bubble import Bubble
from flet_app.parts.tile import Tile
from flet_app.views.messages import SLICE
from shared.client import ChatError, ErrorCode, NotSent
from shared.client.notices import Offline, Online, SignedOut
from shared.protocol.commands.accounts import Auth
from shared.protocol.commands.history import History, Read
from shared.protocol.commands.messages import FileInfo, Message, Page
from shared.protocol.commands.private import ListPc, PrivateChats, Send
from tests.flet_app.people import arrived, chat, message
from tests.flet_app.scripted import Answer, ScriptedHost
from tests.flet_app.unseen import Unseen

Open = Callable[..., Any]
MANY = 5_000


def history(last: int) -> Answer:
    """Answer as a realm with so many messages of bob's."""

    def answer(request: History) -> Page:
        end = request.before or last + 1
        first = max(1, end - request.limit)
        return Page("bob", [message(n) for n in range(first, end)], first > 1)

    return answer


class Window:
    """An app that somebody looks at."""

    def __init__(self, unseen: Unseen, host: ScriptedHost) -> None:
        self.unseen = unseen
        self.host = host

    def field(self, label: str) -> ft.TextField:
        found: ft.TextField = self.unseen.find(
            ft.TextField, lambda c: label in (c.label, c.hint_text)
        )
        return found

    async def press(self, words: str) -> None:
        """Press the button with these words, or this label."""
        for c in self.unseen.shown():
            if isinstance(c, ft.Semantics) and c.label == words and c.content is not None:
                await self.unseen.fire(c.content, "click")
                return
            if isinstance(c, ft.Button | ft.TextButton) and c.content == words:
                await self.unseen.fire(c, "click")
                return
        raise AssertionError(f"there is no button {words}")

    async def sees(self, text: str) -> None:
        await self.unseen.until(lambda: text in self.unseen.texts())

    def looks(self) -> list[Any]:
        return [c.look for c in self.unseen.shown() if isinstance(c, Bubble)][::-1]

    async def open(self, title: str) -> None:
        tile = self.unseen.find(Tile, lambda c: c.look.title == title)
        await self.unseen.fire(tile.content.content.content, "click")

    def tell(self, *events: Any) -> None:
        for event in events:
            self.host.last.told.put_nowait(event)


@pytest_asyncio.fixture
async def window(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens windows: signed in, if a token is kept in the browser."""
    opened: list[Window] = []

    async def open(
        script: dict[type, Answer] | None = None,
        *,
        token: str = "kept",
        signs_in: bool = True,
        **replies: Any,
    ) -> Window:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        unseen = Unseen(get=token, **replies)
        host = ScriptedHost(folder, script)
        found = Window(unseen, host)
        opened.append(found)
        await start(unseen.page, host)
        if token and signs_in:
            found.tell(Online("ana"))
            await unseen.until(lambda: "ana on alpha" in unseen.texts())
        return found

    yield open
    for each in opened:
        await each.unseen.fire(each.unseen.page, "close")


async def test_signing_in_shows_the_conversations(window: Open) -> None:
    rows = PrivateChats([chat("bob", 3, 1, 2)])
    w = await window({ListPc: lambda _: rows}, token="")
    w.field("Username").value, w.field("Password").value = "ana", "secret1"
    await w.press("Sign in")
    await w.sees("bob")
    assert "set" in w.unseen.calls


async def test_what_is_missing_is_said_at_its_field(window: Open) -> None:
    w = await window(token="")
    await w.press("Sign in")
    assert w.field("Username").error == w.field("Password").error == "Fill this in"
    assert w.host.clients == []


@pytest.mark.parametrize(
    "refusal, sentence",
    [
        (ChatError(ErrorCode.BAD_CREDENTIALS, "x"), "The username or the password is wrong."),
        (NotSent("x"), "The server cannot be reached; nothing was done. Try again."),
    ],
)
async def test_a_refused_sign_in_says_why_and_stays(
    window: Open, refusal: Exception, sentence: str
) -> None:
    w = await window({Auth: lambda _: refusal}, token="")
    w.field("Username").value, w.field("Password").value = "ana", "wrong12"
    await w.press("Sign in")
    await w.sees(sentence)
    assert w.field("Username").value == "ana"


async def test_the_server_is_a_setting_of_a_desktop_window(
    window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedHost, "may_change_server", True)
    w = await window(token="")
    assert w.field("Server").value == ScriptedHost.server
    w.field("Username").value, w.field("Password").value = "ana", "secret1"
    w.field("Server").value = "chat.example.org"
    await w.press("Sign in")
    assert w.field("Server").error == "Write the server as ws://host:port or wss://host"
    assert w.host.clients == []
    w.field("Server").value = "wss://chat.example.org"
    await w.press("Sign in")
    await w.sees("ana on alpha")
    assert w.host.servers == ["wss://chat.example.org"]


async def test_in_a_browser_the_server_is_no_setting(window: Open) -> None:
    w = await window(token="")
    assert "Server" not in [c.label for c in w.unseen.shown() if isinstance(c, ft.TextField)]


async def test_a_bug_in_a_handler_leaves_the_window(
    window: Open, caplog: pytest.LogCaptureFixture
) -> None:
    w = await window({Auth: lambda _: KeyError("x")}, token="")
    w.field("Username").value, w.field("Password").value = "ana", "secret1"
    await w.press("Sign in")
    await w.unseen.until(lambda: any("KeyError" in text for text in w.unseen.texts()))
    assert "an action failed" in caplog.text
    assert w.field("Username").value == "ana"


async def test_an_ended_session_says_why_and_lets_sign_in(window: Open) -> None:
    w = await window()
    w.tell(SignedOut("session ended (4501)"))
    await w.unseen.until(lambda: any("4501" in text for text in w.unseen.texts()))
    assert w.field("Username")


async def test_a_lost_connection_shows_a_notice_until_it_is_back(window: Open) -> None:
    w = await window()
    shown = "No connection. What you write waits and is sent when it is back."
    w.tell(Offline("the connection broke", 0.5))
    await w.sees(shown)
    w.tell(Online("ana"))
    await w.unseen.until(lambda: shown not in w.unseen.texts())


async def test_a_browser_that_claims_to_be_a_window_opens_no_path_of_the_server(
    window: Open, tmp_path: Path
) -> None:
    """It can answer what it likes, and set any property of its page."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    chosen = [{"id": 1, "name": "secret.txt", "size": 6, "path": str(secret)}]
    file = FileInfo("f_1", "x.txt", 6, "text/plain", "0" * 64)
    script = {History: lambda _: Page("bob", [message(1, file=file)], False)}
    target = tmp_path / "written.txt"
    w = await window(script, pick_files=chosen, save_file=str(target))
    w.tell(arrived(1, file=file))
    await w.sees("bob")
    await w.open("bob")
    w.unseen.session.apply_patch(w.unseen.page._i, {"web": False, "platform": "linux"})
    assert not w.unseen.page.web
    await w.press("Attach file")
    await w.unseen.until(lambda: "upload" in w.unseen.calls)
    await w.press("Save x.txt")
    await w.unseen.until(lambda: "launch_url" in w.unseen.calls)
    assert "save_file" not in w.unseen.calls and not target.exists()
    assert w.host.last.files == []


async def test_a_page_that_is_loaded_anew_is_looked_at(window: Open) -> None:
    """Loading hides the old page, and nothing says that the new one is seen."""
    w = await window({History: history(0)})
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    await w.unseen.until(lambda: w.host.last.heard_of(Read) != [])
    hidden = {"state": "hide"}
    await w.unseen.fire(w.unseen.page, "app_lifecycle_state_change", hidden)
    w.tell(arrived(2))
    await w.unseen.until(lambda: w.unseen.page.title == "(1) Simple Chatting")
    await w.unseen.fire(w.unseen.page, "connect")
    await w.unseen.until(lambda: w.unseen.page.title == "Simple Chatting")
    await w.unseen.until(lambda: w.host.last.heard_of(Read)[-1].seq == 2)


async def test_what_is_typed_while_a_conversation_loads_is_meant_for_it(window: Open) -> None:
    """The realm may take its time, or be away."""
    never = asyncio.get_running_loop().create_future()
    pages = {"bob": Page("bob", [message(1)], False)}
    script = {History: lambda r: pages.get(str(r.conversation), never)}
    w = await window(script)
    w.tell(arrived(1), arrived(1, "zed", conversation="zed"))
    await w.sees("zed")
    await w.open("bob")
    opening = asyncio.create_task(w.open("zed"))
    await w.unseen.until(lambda: len(w.host.last.heard_of(History)) == 2)
    w.field("Write a message").value = "for zed"
    await w.press("Send")
    await w.unseen.until(lambda: bool(w.host.last.heard_of(Send)))
    assert [str(r.to) for r in w.host.last.heard_of(Send)] == ["zed"]
    opening.cancel()


async def test_nothing_is_read_while_the_browser_is_away(window: Open) -> None:
    w = await window({History: history(0)})
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    await w.unseen.until(lambda: bool(w.host.last.heard_of(Read)))
    await w.unseen.fire(w.unseen.page, "disconnect")
    w.tell(arrived(2))
    await w.unseen.until(lambda: w.unseen.page.title == "(1) Simple Chatting")
    assert [r.seq for r in w.host.last.heard_of(Read)] == [1]


async def test_a_server_that_is_away_at_the_start_leaves_no_splash(window: Open) -> None:
    """Or a wrong address that is kept could never be changed."""
    w = await window(token="kept", signs_in=False)
    w.tell(Offline("Connection refused", 1.0))
    await w.unseen.until(lambda: any("Connection refused" in text for text in w.unseen.texts()))
    assert w.field("Username")
    w.tell(Online("ana"))
    await w.sees("ana on alpha")


async def test_dialogs_end_with_the_session(window: Open) -> None:
    w = await window()
    await w.press("New chat")
    await w.sees("New chat")
    w.tell(SignedOut("session ended (4501)"))
    await w.unseen.until(lambda: any("4501" in text for text in w.unseen.texts()))
    open_ones = [c for c in w.unseen.shown() if isinstance(c, ft.AlertDialog) and c.open]
    assert open_ones == []


async def test_files_of_one_name_do_not_take_each_others_place(
    window: Open, tmp_path: Path
) -> None:
    chosen = [{"id": 1, "name": "image.jpg", "size": 4, "path": None}]
    w = await window({History: history(0)}, pick_files=chosen)
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    pickers = []
    for _ in range(2):
        await w.press("Attach file")
        await w.unseen.until(lambda: w.unseen.calls.count("upload") == len(pickers) + 1)
        pickers.append(w.unseen.last_called)
    first = {"file_name": "image.jpg", "progress": 1.0, "error": None}
    await w.unseen.fire(pickers[0], "upload", first)
    await w.unseen.until(lambda: len(w.host.last.files) == 1)
    assert [look.done for look in w.looks()][-1] == 0.0


async def test_unread_messages_are_in_the_title(window: Open) -> None:
    w = await window()
    w.tell(arrived(1), arrived(2))
    await w.unseen.until(lambda: w.unseen.page.title == "(2) Simple Chatting")


async def test_days_and_the_unread_line_stand_above_messages(window: Open) -> None:
    rows = PrivateChats([chat("bob", 60, 50, 10)])
    w = await window({ListPc: lambda _: rows, History: history(60)})
    await w.sees("bob")
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 50)
    looks = w.looks()
    assert [bool(look.day) for look in looks] == [True] + 49 * [False]
    assert [look.text for look in looks if look.unread_line] == ["text 51"]


async def test_scrolling_back_shows_older_ones_and_holds_new_ones_back(window: Open) -> None:
    rows = PrivateChats([chat("bob", 400, 400)])
    w = await window({ListPc: lambda _: rows, History: history(400)})
    await w.sees("bob")
    await w.open("bob")
    await w.unseen.until(lambda: len(w.looks()) == 50)
    listed = w.unseen.find(ft.ListView, lambda c: c.reverse)

    async def scroll(pixels: float) -> None:
        place = {"pixels": pixels, "min_scroll_extent": 0.0, "max_scroll_extent": 5000.0}
        kind = {"event_type": "update", "viewport_dimension": 600.0}
        await w.unseen.fire(listed, "scroll", {**place, **kind})

    await scroll(4900.0)
    await w.unseen.until(lambda: len(w.looks()) == 100)
    assert w.looks()[0].text == "text 301"
    w.tell(arrived(401), arrived(402))
    button = w.unseen.find(ft.FilledTonalButton)
    await w.unseen.until(lambda: button.content == "Jump to newest (2 new)")
    assert w.looks()[-1].text == "text 400"
    await scroll(0.0)
    await w.unseen.until(lambda: bool(w.looks()) and w.looks()[-1].text == "text 402")


async def test_one_more_of_5000_messages_is_shown_within_50_ms(window: Open) -> None:
    """All that the app's loop does for it: taking the event, showing and packing the change."""
    w = await window({History: history(MANY)})
    w.tell(*(arrived(n) for n in range(1, 11)))
    await w.sees("bob")
    await w.open("bob")
    c = w.host.last
    for n in range(MANY + 1, MANY + 300):
        w.tell(arrived(n))
    await w.unseen.until(lambda: bool(w.looks()) and w.looks()[-1].text == f"text {MANY + 299}")
    assert len(w.looks()) <= SLICE and c is w.host.last
    took = []
    for n in range(MANY + 300, MANY + 315):
        await asyncio.sleep(0.1)  # for what the last one left to be done
        w.unseen.sent.clear()
        began = time.process_time()
        w.tell(arrived(n))
        await w.unseen.sent.wait()
        await asyncio.sleep(0.05)  # for what is sent after the first change
        took.append(time.process_time() - began)
    assert w.looks()[-1].text == f"text {MANY + 314}"
    assert sorted(took)[len(took) // 2] < 0.05


async def test_a_window_with_5000_messages_takes_less_than_30_mb(window: Open) -> None:
    def long(n: int) -> Message:
        return message(n, text=f"text {n} " + "x" * 500)

    w = await window({History: lambda r: Page("bob", [long(n) for n in range(1, 51)], False)})
    gc.collect()
    tracemalloc.start()
    try:
        more = await window({History: lambda r: Page("bob", [], False)})
        more.tell(arrived(1))
        await more.sees("bob")
        await more.open("bob")
        for n in range(2, MANY):
            more.tell(arrived(n, text=f"text {n} " + "x" * 500))
        await more.unseen.until(
            lambda: bool(more.looks()) and more.looks()[-1].text.startswith(f"text {MANY - 1} ")
        )
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert w is not more and size < 30e6
