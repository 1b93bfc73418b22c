"""The contents of a window, without a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import flet as ft
import pytest

from flet_app.links import MAX_LINKS
from flet_app.parts import notices
from shared.client import GroupChanged
from shared.client.notices import Offline, Online, SignedOut
from shared.protocol.commands.accounts import (
    Auth,
)
from shared.protocol.commands.groups import GroupChats, ListGroup
from shared.protocol.commands.history import History, Read
from shared.protocol.commands.messages import FileInfo, Page
from shared.protocol.commands.private import ListPc, PrivateChats, Send
from tests.flet_app.looking import Open, history
from tests.flet_app.people import arrived, chat, group, message
from tests.flet_app.scripted import Upload


async def test_notices_cover_little_and_go(window: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "SHOWN_SECONDS", 0.3)
    w = await window()
    for n in range(5):
        w.tell(GroupChanged(f"#{n}", f"cake {n}", "ana", "joined"))
        await w.sees(f"You were added to cake {n}")

    def said() -> list[str]:
        return [text for text in w.unseen.texts() if text.startswith("You were added")]

    assert said() == [f"You were added to cake {n}" for n in (2, 3, 4)]
    await w.unseen.until(lambda: not said())


async def test_who_comes_and_goes_is_said(window: Open) -> None:
    groups = GroupChats([group("#1", "cake")])
    script = {History: lambda _: Page("#1", [], False), ListGroup: lambda _: groups}
    w = await window(script)
    w.tell(GroupChanged("#1", "cake", "ana", "joined"))
    await w.sees("You were added to cake")
    await w.open("cake")
    w.tell(GroupChanged("#1", "cake", "bob", "joined"))
    await w.sees("bob joined")
    w.tell(GroupChanged("#1", "cake", "ana", "removed"))
    await w.sees("You were removed from cake")


async def test_a_bug_in_a_handler_leaves_the_window(
    window: Open, caplog: pytest.LogCaptureFixture
) -> None:
    w = await window({Auth: lambda _: KeyError("x")}, token="")
    w.field("Username").value, w.field("Password").value = "ana", "secret1"
    await w.press("Sign in")
    await w.unseen.until(lambda: any("KeyError" in text for text in w.unseen.texts()))
    assert "an action failed" in caplog.text
    assert w.field("Username").value == "ana"


async def test_a_lost_connection_shows_a_notice_until_it_is_back(window: Open) -> None:
    w = await window()
    shown = "No connection. Your messages wait here and are sent once the connection is back."
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
    heard = w.host.last.heard_of
    await w.unseen.until(lambda: "zed" in [str(r.conversation) for r in heard(History)])
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
    said = "the server is not running"
    await w.unseen.until(lambda: any(said in text for text in w.unseen.texts()))
    assert w.field("Username")
    w.tell(Online("ana"))
    await w.sees("ana on alpha")


async def test_dialogs_end_with_the_session(window: Open) -> None:
    w = await window()
    await w.press("New chat")
    await w.sees("New chat")
    w.tell(SignedOut("session ended (4501)"))
    await w.unseen.until(lambda: any("session ended" in text for text in w.unseen.texts()))
    open_ones = [c for c in w.unseen.shown() if isinstance(c, ft.AlertDialog) and c.open]
    assert open_ones == []


async def test_files_of_one_name_do_not_take_each_others_place(
    window: Open, tmp_path: Path
) -> None:
    chosen = [{"id": 1, "name": "image.jpg", "size": 4, "path": None}]
    never = asyncio.get_running_loop().create_future()
    w = await window({History: history(0), Upload: lambda _: never}, pick_files=chosen)
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    pickers = []
    for _ in range(2):
        await w.press("Attach file")
        await w.unseen.until(lambda: w.unseen.calls.count("upload") == len(pickers) + 1)
        pickers.append(w.unseen.last_called)
    (w.host.folder / "image.jpg").write_bytes(b"1234")
    first = {"file_name": "image.jpg", "progress": 1.0, "error": None}
    await w.unseen.fire(pickers[0], "upload", first)
    await w.unseen.until(lambda: len(w.host.last.files) == 1)
    await w.unseen.until(lambda: sorted(look.done for look in w.looks()[-2:]) == [0.0, 0.75])


async def test_the_button_to_cancel_a_file_was_another_one_at_each_step(window: Open) -> None:
    """So that a finger which came down on it went up on nothing."""
    chosen = [{"id": 1, "name": "notes.txt", "size": 4, "path": None}]
    w = await window({History: history(0)}, pick_files=chosen)
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    await w.press("Attach file")
    await w.unseen.until(lambda: "upload" in w.unseen.calls)
    picker = w.unseen.last_called
    await w.sees("notes.txt")
    button = w.unseen.find(ft.IconButton, lambda c: c.icon == ft.Icons.CLOSE)
    step = {"file_name": "notes.txt", "progress": 0.5, "error": None}
    await w.unseen.fire(picker, "upload", step)
    await w.unseen.until(lambda: w.unseen.find(ft.ProgressBar).value == 0.25)
    assert w.unseen.find(ft.IconButton, lambda c: c.icon == ft.Icons.CLOSE) is button


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


async def test_what_is_read_from_the_right_was_in_the_wrong_order(window: Open) -> None:
    w = await window({History: lambda _: Page("bob", [], False)})
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    texts = {
        "مرحبا Bob، كيف حالك؟": True,
        "«سلام» http://ab": True,
        "Bob مرحبا": False,
        "12": False,
    }
    w.tell(*(arrived(n, text=text) for n, text in enumerate(texts, start=2)))
    await w.unseen.until(lambda: len(w.looks()) == len(texts))
    found = {
        c.value or "".join(s.text or "" for s in c.spans or []): c.rtl
        for c in w.unseen.shown()
        if isinstance(c, ft.Text)
    }
    assert {text: found[text] for text in texts} == texts


async def test_a_message_of_links_only_is_no_more_than_some_controls(window: Open) -> None:
    """Each link is two controls, which Flet compares at each change, for everybody."""
    w = await window({History: lambda _: Page("bob", [], False)})
    w.tell(arrived(1))
    await w.sees("bob")
    await w.open("bob")
    w.tell(arrived(2, text="http://ab " * 1600))
    await w.unseen.until(lambda: len(w.looks()) == 1)
    spans = [c for c in w.unseen.shown() if isinstance(c, ft.Text) and c.spans]
    assert len(spans) == 1 and len(spans[0].spans or []) <= 2 * MAX_LINKS + 1
