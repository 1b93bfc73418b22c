"""What becomes of what a person does, by the answers of the realm and when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flet_app import actions, sending
from flet_app.actions import Actions
from flet_app.conversation import STORED, WAITING, Conversation
from flet_app.state import Part, State
from shared.client import ChatError, ErrorCode, NotSent, OutcomeUnknown, SignedOut
from shared.client.notices import Online
from shared.protocol.commands.accounts import Auth, Logout, SignedIn
from shared.protocol.commands.groups import GroupLeft, LeaveGroup, ListGroup
from shared.protocol.commands.history import History, Read, Received
from shared.protocol.commands.messages import Page, Sent
from shared.protocol.commands.private import Inbox, ListPc, PrivateChats, Send
from tests.flet_app.people import NOON, arrived, chat, message
from tests.flet_app.scripted import Answer, ScriptedHost, Upload

LIMIT = 5.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "GATHERING", 0.001)
    monkeypatch.setattr(sending, "PAUSE", 0.001)


class Window:
    """The state and actions of one window, and what they did."""

    def __init__(self, folder: Path, script: dict[type, Answer]) -> None:
        self.changed: list[Part] = []
        self.tokens: list[str] = []
        self.host = ScriptedHost(folder, script)
        self.state = State(self.changed.append)

        async def remember(token: str) -> None:
            self.tokens.append(token)

        self.actions = Actions(self.state, self.host, remember)

    async def until(self, fact: Callable[[], bool]) -> None:
        """Let everything else run until something holds."""
        async with asyncio.timeout(LIMIT):
            while not fact():  # noqa: ASYNC110 - facts of many kinds, without an event
                await asyncio.sleep(0.001)

    def heard(self, kind: type) -> list[Any]:
        return self.host.last.heard_of(kind)

    def fates(self, c: Conversation) -> list[str]:
        return [c.fate(entry) for entry in c.entries]


@asynccontextmanager
async def window(folder: Path, script: dict[type, Answer] | None = None) -> AsyncIterator[Window]:
    """Somebody who is signed in."""
    found = Window(folder, script or {})
    await found.actions.sign_in("ana", "secret1")
    await found.until(lambda: found.state.listed)
    try:
        yield found
    finally:
        await found.actions.close()


def one_after_another(*answers: Any) -> Answer:
    """Answer with each of these once, and with the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


async def test_signing_in_keeps_the_token_and_asks_for_the_lists(tmp_path: Path) -> None:
    rows = PrivateChats([chat("bob", 3, 1, 2)])
    async with window(tmp_path, {ListPc: lambda _: rows}) as w:
        assert w.state.user == "ana" and w.tokens == ["t"]
        assert [c.unread for c in w.state.listing()] == [2]
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


async def test_texts_go_one_after_another_in_their_order(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        c = await w.actions.open("bob")
        for n in range(5):
            w.actions.sending.text(c, f"text {n}")  # type: ignore[union-attr]
        assert w.fates(c) == [WAITING] * 5
        await w.until(lambda: w.fates(c) == [STORED] * 5)
        assert [r.text for r in w.heard(Send)] == [f"text {n}" for n in range(5)]
        assert [e.seq for e in c.entries] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "fault",
    [
        NotSent("away"),
        OutcomeUnknown("gone"),
        ChatError(ErrorCode.UNAVAILABLE, "full"),
        ChatError(ErrorCode.RATE_LIMITED, "slow down", retry_after=0.001),
    ],
    ids=lambda fault: type(fault).__name__ + str(getattr(fault, "code", "")),
)
async def test_a_text_without_an_answer_is_repeated_under_its_key(
    tmp_path: Path, fault: Exception
) -> None:
    done = Sent("bob", 1, "m1", NOON, STORED)
    async with window(tmp_path, {Send: one_after_another(fault, fault, done)}) as w:
        c = await w.actions.open("bob")
        w.actions.sending.text(c, "hi")  # type: ignore[union-attr]
        await w.until(lambda: w.fates(c) == [STORED])
        keys = {r.idempotency_key for r in w.heard(Send)}
        assert len(w.heard(Send)) == 3 and len(keys) == 1 and None not in keys


async def test_a_refused_text_says_why_and_lets_the_next_pass(tmp_path: Path) -> None:
    refusal = ChatError(ErrorCode.UNKNOWN_USER, "Nobody is called zed")
    done = Sent("zed", 1, "m1", NOON, STORED)
    async with window(tmp_path, {Send: one_after_another(refusal, done)}) as w:
        c = await w.actions.open("zed")
        w.actions.sending.text(c, "one")  # type: ignore[union-attr]
        w.actions.sending.text(c, "two")  # type: ignore[union-attr]
        await w.until(lambda: sorted(w.fates(c)) == ["refused", STORED])
        assert next(e.why for e in c.entries if e.text == "one") == "Nobody is called zed"


async def test_too_many_waiting_messages_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_WAITING", 3)
    never = asyncio.get_running_loop().create_future()
    async with window(tmp_path, {Send: lambda _: never}) as w:
        c = await w.actions.open("bob")
        assert w.actions.sending is not None
        for n in range(3):
            w.actions.sending.text(c, str(n))
        with pytest.raises(ChatError, match="wait already"):
            w.actions.sending.text(c, "one more")
        assert len(c.entries) == 3


async def test_a_file_goes_beside_the_texts_and_is_repeated_under_its_key(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1234")
    done = Sent("bob", 1, "m1", NOON, STORED)
    async with window(tmp_path, {Upload: one_after_another(NotSent("away"), done)}) as w:
        c = await w.actions.open("bob")
        assert w.actions.sending is not None
        upload = w.actions.sending.file(c, path, "x.png", 4)
        released = []
        upload.release = lambda: released.append(upload.entry)
        upload.ready(came=True)
        assert c.entries[0].file is not None and c.entries[0].file.type == "image/png"
        await w.until(lambda: w.fates(c) == [STORED])
        assert len({key for _, _, key in w.host.last.files}) == 1
        assert c.entries[0].done is None
        assert released == [c.entries[0]]


async def test_a_file_can_be_cancelled(tmp_path: Path) -> None:
    never = asyncio.get_running_loop().create_future()
    async with window(tmp_path, {Upload: lambda _: never}) as w:
        c = await w.actions.open("bob")
        assert w.actions.sending is not None
        upload = w.actions.sending.file(c, tmp_path / "x", "x.png", 4)
        upload.ready(came=True)
        await w.until(lambda: bool(w.host.last.files))
        assert upload.entry.done == 0.75
        w.actions.sending.cancel(c, upload.entry)
        assert c.entries == []
        upload.ready(came=True)  # the browser had not heard of it
        await asyncio.sleep(0)
        assert len(w.host.last.files) == 1


async def test_an_empty_file_and_one_over_the_limit_are_refused_at_once(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        c = await w.actions.open("bob")
        assert w.actions.sending is not None
        with pytest.raises(ChatError, match="empty"):
            w.actions.sending.file(c, tmp_path / "x", "x", 0)
        assert c.entries == []


async def test_what_comes_is_confirmed_and_what_is_seen_is_read(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        c = await w.actions.open("bob")
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
        opening = asyncio.create_task(w.actions.open("bob"))
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
            await w.actions.open("bob")
        w.host.last.told.put_nowait(Online("ana"))
        c = w.state.conversation("bob")
        await w.until(lambda: c.loaded)
        assert [e.seq for e in c.entries] == [1]


async def test_lists_that_could_not_be_had_are_asked_for_again(tmp_path: Path) -> None:
    rows = PrivateChats([chat("bob", 3)])
    lists = one_after_another(NotSent("away"), ChatError(ErrorCode.UNAVAILABLE, "no"), rows)
    async with window(tmp_path, {ListPc: lists}) as w:
        assert [c.address for c in w.state.listing()] == ["bob"]


async def test_older_messages_are_read_page_by_page(tmp_path: Path) -> None:
    def history(request: History) -> Page:
        end = request.before or 101
        first = max(1, end - request.limit)
        return Page("bob", [message(n) for n in range(first, end)], first > 1)

    async with window(tmp_path, {History: history}) as w:
        c = await w.actions.open("bob")
        assert (c.first_seq, c.older) == (51, True)
        await w.actions.load_older(c)
        assert (c.first_seq, c.older) == (1, False)
        before = len(w.heard(History))
        await w.actions.load_older(c)
        assert len(w.heard(History)) == before


async def test_only_some_conversations_keep_their_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "LOADED", 2)
    pages = lambda r: Page(str(r.conversation), [message(1)], False)  # noqa: E731
    async with window(tmp_path, {History: pages}) as w:
        kept = [await w.actions.open(name) for name in ("a", "b", "c")]
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
        await w.until(lambda: w.state.unread == 1)
        await w.actions.run("/inbox bob")
        assert w.state.unread == 0


async def test_a_typed_logout_signs_out(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        with pytest.raises(ChatError, match="Signed out"):
            await w.actions.run("/logout")
        assert w.state.user == "" and w.tokens[-1] == ""


async def test_a_typed_auth_is_somebody_else(tmp_path: Path) -> None:
    def auth(request: Auth) -> SignedIn:
        return SignedIn(request.user, "alpha", "t2", {}, "e", 1, None)  # type: ignore[arg-type]

    async with window(tmp_path, {Auth: auth}) as w:
        w.state.conversation("bob")
        await w.actions.run("/auth zed secret1")
        assert w.state.user == "zed"
        await w.until(lambda: len(w.heard(ListGroup)) == 2)


async def test_a_typed_leavegroup_takes_it_from_the_list(tmp_path: Path) -> None:
    async with window(tmp_path, {LeaveGroup: lambda _: GroupLeft("#7")}) as w:
        w.state.conversation("#7")
        await w.actions.run("/leavegroup 7")
        assert "#7" not in w.state.conversations
