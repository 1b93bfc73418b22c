"""The effects of a person's actions, with each answer of the realm and without one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flet_app import session
from flet_app.conversation import STORED
from shared.client import ChatError, ErrorCode, NoAnswer, NotSent, SignedOut
from shared.client.notices import Online
from shared.protocol.commands.accounts import Auth, Logout, SignedIn
from shared.protocol.commands.groups import GroupLeft, LeaveGroup, ListGroup
from shared.protocol.commands.history import History, Read, ReadUpTo, Received
from shared.protocol.commands.messages import Page
from shared.protocol.commands.private import Inbox, ListPc, PrivateChats, Send
from tests.flet_app.acting import Window, one_after_another, window
from tests.flet_app.people import arrived, chat, message

pytestmark = pytest.mark.usefixtures("impatient")


async def test_signing_in_keeps_the_token_and_asks_for_the_lists(tmp_path: Path) -> None:
    rows = PrivateChats([chat("bob", 3, 1, 2)])
    async with window(tmp_path, {ListPc: lambda _: rows}) as w:
        assert w.state.user == "ana" and w.tokens == ["t"]
        assert [c.unread for c in w.state.conversations.matching()] == [2]
        assert w.heard(Auth) == [Auth("ana", "secret1")]


async def test_a_wrong_password_leaves_nobody_signed_in(tmp_path: Path) -> None:
    refusal = ChatError(ErrorCode.BAD_CREDENTIALS, "no")
    w = Window(tmp_path, {Auth: lambda _: refusal})
    with pytest.raises(ChatError):
        await w.actions.sign_in("ana", "wrong12")
    assert w.state.user == "" and w.tokens == []
    assert w.actions.sending is None


async def test_a_kept_token_goes_on_with_the_session(tmp_path: Path) -> None:
    w = Window(tmp_path, {})
    await w.actions.resume("kept")
    assert w.state.user == ""
    w.host.last.told.put_nowait(Online("ana"))
    await w.until(lambda: w.state.user == "ana")
    assert w.heard(Auth) == [] and w.tokens[-1] == "kept"
    await w.actions.close()


async def test_an_ended_session_forgets_the_token_and_says_why(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        w.host.last.told.put_nowait(SignedOut("session ended (4501)"))
        await w.until(lambda: w.state.user == "")
        assert w.state.ended == "session ended (4501)" and w.tokens[-1] == ""


async def test_signing_out_works_without_a_connection(tmp_path: Path) -> None:
    async with window(tmp_path, {Logout: lambda _: NotSent("away")}) as w:
        await w.actions.sign_out()
        assert w.state.user == "" and w.tokens[-1] == ""


async def test_what_comes_is_confirmed_and_what_is_seen_is_read(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        c = await w.open("bob")
        for n in (1, 2, 3):
            w.host.last.told.put_nowait(arrived(n))
        await w.until(lambda: bool(w.heard(Received)) and w.heard(Received)[-1].seq == 3)
        w.actions.saw(c)
        await w.until(lambda: bool(w.heard(Read)))
        assert [r.seq for r in w.heard(Read)] == [3]
        assert c.unread == 0


async def test_what_comes_while_a_conversation_is_loaded_is_not_lost(tmp_path: Path) -> None:
    page: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
    async with window(tmp_path, {History: lambda _: page}) as w:
        opening = asyncio.create_task(w.open("bob"))
        await w.until(lambda: bool(w.heard(History)))
        w.host.last.told.put_nowait(arrived(4))
        await w.until(lambda: bool(w.state.received) or bool(w.heard(Received)))
        page.set_result(Page("bob", [message(n) for n in (1, 2, 3)], False))
        c = await opening
        assert [e.seq for e in c.entries] == [1, 2, 3, 4]


async def test_a_conversation_that_could_not_be_loaded_is_loaded_once_online(
    tmp_path: Path,
) -> None:
    page = Page("bob", [message(1)], False)
    async with window(tmp_path, {History: one_after_another(NotSent("away"), page)}) as w:
        with pytest.raises(NotSent):
            await w.open("bob")
        w.host.last.told.put_nowait(Online("ana"))
        c = w.state.conversation("bob")
        await w.until(lambda: c.loaded)
        assert [e.seq for e in c.entries] == [1]


async def test_lists_that_could_not_be_had_are_asked_for_again(tmp_path: Path) -> None:
    rows = PrivateChats([chat("bob", 3)])
    lists = one_after_another(NotSent("away"), ChatError(ErrorCode.UNAVAILABLE, "no"), rows)
    async with window(tmp_path, {ListPc: lists}) as w:
        assert [c.address for c in w.state.conversations.matching()] == ["bob"]


async def test_older_messages_are_read_page_by_page(tmp_path: Path) -> None:
    def history(request: History) -> Page:
        end = request.before or 101
        first = max(1, end - request.limit)
        return Page("bob", [message(n) for n in range(first, end)], first > 1)

    async with window(tmp_path, {History: history}) as w:
        c = await w.open("bob")
        assert (c.first_seq, c.older) == (51, True)
        await w.actions.load_older(c)
        assert (c.first_seq, c.older) == (1, False)
        before = len(w.heard(History))
        await w.actions.load_older(c)
        assert len(w.heard(History)) == before


async def test_only_some_conversations_keep_their_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_LOADED_CONVERSATIONS", 2)
    pages = lambda r: Page(str(r.conversation), [message(1)], False)  # noqa: E731
    async with window(tmp_path, {History: pages}) as w:
        kept = [await w.open(name) for name in ("a", "b", "c")]
        assert [c.loaded for c in kept] == [False, True, True]


async def test_a_typed_command_changes_what_is_shown(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        reply = await w.actions.run("/send bob hi there")
        c = w.state.conversation("bob")
        assert "message 1" in reply.sentence()
        assert c.last is not None and (c.last.text, c.last.state) == ("hi there", STORED)


async def test_a_typed_inbox_marks_read(tmp_path: Path) -> None:
    page = Page("bob", [message(1)], False)
    async with window(tmp_path, {Inbox: lambda _: page}) as w:
        w.host.last.told.put_nowait(arrived(1))
        await w.until(lambda: w.state.conversations.unread == 1)
        await w.actions.run("/inbox bob")
        assert w.state.conversations.unread == 0


async def test_a_typed_logout_signs_out(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        with pytest.raises(ChatError, match="Signed out"):
            await w.actions.run("/logout")
        assert w.state.user == "" and w.tokens[-1] == ""


def auth(request: Auth) -> Any:
    if request.password == "wrong":
        return ChatError(ErrorCode.BAD_CREDENTIALS, "no")
    return SignedIn(request.user, "alpha", "t2", {}, "e", 1, None)  # type: ignore[arg-type]


async def test_a_typed_auth_is_somebody_else_who_sends_nothing_of_the_first(
    tmp_path: Path,
) -> None:
    never = asyncio.get_running_loop().create_future()
    async with window(tmp_path, {Auth: auth, Send: lambda _: never}) as w:
        c = await w.open("bob")
        w.actions.sending.text(c, "of ana")  # type: ignore[union-attr]
        await w.until(lambda: bool(w.heard(Send)))
        await w.actions.run("/auth zed secret1")
        assert w.state.user == "zed" and w.state.conversations == {}
        await w.until(lambda: bool(w.heard(ListGroup)))
        assert w.heard(Send) == [] and len(w.host.clients) == 2


async def test_a_typed_auth_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    async with window(tmp_path, {Auth: auth}) as w:
        with pytest.raises(ChatError):
            await w.actions.run("/auth zed wrong")
        c = w.state.conversation("bob")
        assert w.state.user == "ana"
        w.actions.sending.text(c, "still here")  # type: ignore[union-attr]
        await w.until(lambda: w.fates(c) == [STORED])


async def test_a_marker_that_is_refused_holds_up_no_other(tmp_path: Path) -> None:
    """For example, the marker of a group from which the person was just removed."""

    def read(request: Read) -> Any:
        if str(request.conversation) == "#7":
            return ChatError(ErrorCode.UNKNOWN_GROUP, "no")
        return ReadUpTo(str(request.conversation), request.seq)

    async with window(tmp_path, {Read: read}) as w:
        for address in ("#7", "bob"):
            c = await w.open(address)
            w.host.last.told.put_nowait(arrived(1, conversation=address))
            await w.until(lambda c=c: c.last_seq == 1)  # type: ignore[misc]
            w.actions.saw(c)
        await w.until(lambda: [str(r.conversation) for r in w.heard(Read)] == ["#7", "bob"])
        before = len(w.heard(ListPc))
        w.host.last.told.put_nowait(Online("ana"))
        await w.until(lambda: len(w.heard(ListPc)) > before)


async def test_a_conversation_that_is_refused_does_not_stay(tmp_path: Path) -> None:
    refusal = ChatError(ErrorCode.UNKNOWN_GROUP, "no")
    async with window(tmp_path, {History: lambda _: refusal}) as w:
        with pytest.raises(ChatError):
            await w.open("#7")
        assert w.state.open is None and w.state.conversations == {}


async def test_what_came_while_one_was_away_is_confirmed(tmp_path: Path) -> None:
    rows = PrivateChats([chat("bob", 3, 1, 2)])
    async with window(tmp_path, {ListPc: lambda _: rows}) as w:
        await w.until(lambda: [r.seq for r in w.heard(Received)] == [3])


async def test_a_page_that_comes_after_its_place_was_forgotten_makes_no_hole(
    tmp_path: Path,
) -> None:
    page: asyncio.Future[Page] = asyncio.get_running_loop().create_future()

    def history(request: History) -> Any:
        if request.before is not None:
            return page
        return Page("bob", [message(n) for n in range(301, 501)], True)

    async with window(tmp_path, {History: history}) as w:
        c = await w.open("bob")
        loading = asyncio.create_task(w.actions.load_older(c))
        await w.until(lambda: len(w.heard(History)) == 2)
        await w.open("zed")
        page.set_result(Page("bob", [message(n) for n in range(251, 301)], True))
        await loading
        found = [e.seq for e in c.entries if e.seq]
        assert found == list(range(found[0], 501))


async def test_a_window_that_closes_while_it_begins_starts_nothing(tmp_path: Path) -> None:
    w = Window(tmp_path, {})
    await w.actions.close()
    with pytest.raises(NoAnswer):
        await w.actions.resume("kept")
    assert w.host.clients == []


async def test_a_typed_leavegroup_takes_it_from_the_list(tmp_path: Path) -> None:
    async with window(tmp_path, {LeaveGroup: lambda _: GroupLeft("#7")}) as w:
        w.state.conversation("#7")
        await w.actions.run("/leavegroup 7")
        assert "#7" not in w.state.conversations
