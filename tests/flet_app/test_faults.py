"""Errors in a window end the action and are shown; nothing waits for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flet_app.conversation import REFUSED
from flet_app.parts.notices import Notices
from shared.client import GroupChanged
from shared.protocol.commands.groups import (
    GroupChats,
    GroupMember,
    GroupMembers,
    ListGroup,
    Members,
)
from shared.protocol.commands.messages import FileInfo
from tests.flet_app.acting import window as signed_in
from tests.flet_app.looking import Open
from tests.flet_app.people import arrived, group
from tests.flet_app.scripted import ScriptedHost, Upload


async def test_files_that_a_browser_cannot_send_waited_for_ever(window: Open) -> None:
    chosen = [{"id": 1, "name": "a.txt", "size": 6, "path": None}]
    w = await window(pick_files=chosen, upload=RuntimeError("no such file"))
    w.tell(arrived(1))
    await w.open("bob")
    await w.press("Attach file")
    why = "refused: the upload is incomplete; attach the file again"
    await w.sees(why)
    assert [look.done for look in w.looks() if look.file_name] == [None]


async def test_a_file_that_meets_a_bug_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with signed_in(tmp_path, {Upload: lambda _: KeyError("x")}) as w:
        c = await w.open("bob")
        path = tmp_path / "a.txt"
        path.write_bytes(b"hello")
        w.actions.sending.file(c, path, "a.txt", 5).ready(came=False)  # type: ignore[union-attr]
        await w.until(lambda: w.fates(c) == [REFUSED])
        assert c.entries[0].done is None and c.entries[0].why == "KeyError"
    assert "a file could not be sent" in caplog.text


async def test_a_start_that_fails_did_leave_an_empty_page(
    window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: ScriptedHost, server: str, token: str = "", **options: Any) -> Any:
        raise ValueError(f"{server} is no address")

    monkeypatch.setattr(ScriptedHost, "client", refuse)
    w = await window(signs_in=False)
    assert w.field("Username")
    await w.unseen.until(lambda: any("Something went wrong" in t for t in w.unseen.texts()))


async def test_no_handler_can_replace_the_window_by_an_error(window: Open) -> None:
    """Flet shows what leaves a handler instead of everything else."""
    members = GroupMembers([GroupMember("ana", "owner", 0), GroupMember("bob", "member", 0)])
    script = {ListGroup: lambda _: GroupChats([group("#1", "cake")]), Members: lambda _: members}
    w = await window(script)
    file = FileInfo("f_1", "x.txt", 6, "text/plain", "0" * 64)
    w.tell(arrived(1, file=file, conversation="#1"))
    await w.open("cake")
    await w.press("About this conversation")
    await w.press("Remove bob")
    for button in ("New chat", "New group", "Add realm"):
        await w.press(button)
    found = 0
    for control in w.unseen.shown():
        for name in (name for name in dir(control) if name.startswith("on_")):
            handler = getattr(control, name)
            if handler is not None and not handler.__module__.startswith("flet."):
                found += 1
                assert handler.__qualname__ == "guarded.<locals>.run", (control, name)
    assert found > 25
    page = w.unseen.page
    handlers = [name for name in dir(page) if name.startswith("on_") and getattr(page, name)]
    assert {getattr(page, name).__qualname__ for name in handlers} == {"guarded.<locals>.run"}


async def test_a_window_that_cannot_say_what_went_wrong_does_not_try_for_ever(
    window: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def fail(self: Notices, sentence: str, left: float) -> None:
        nonlocal tries
        tries += 1
        raise RuntimeError("the page is gone")

    w = await window()
    monkeypatch.setattr(Notices, "show", fail)
    w.tell(GroupChanged("#1", "cake", "ana", "joined"))
    await w.unseen.until(lambda: "the screen could not be shown" in caplog.text)
    w.tell(arrived(1))
    await w.sees("bob")
    assert tries == 1
