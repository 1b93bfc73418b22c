"""Outgoing messages: each is sent once and in order, with any answer of the realm."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flet_app import sending
from flet_app.conversation import STORED, WAITING
from shared.client import ChatError, ErrorCode, NotSent, OutcomeUnknown
from shared.protocol.commands.messages import Sent
from shared.protocol.commands.private import Send
from tests.flet_app.acting import one_after_another, window
from tests.flet_app.people import NOON
from tests.flet_app.scripted import Upload

pytestmark = pytest.mark.usefixtures("impatient")


async def test_texts_go_one_after_another_in_their_order(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        c = await w.open("bob")
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
        c = await w.open("bob")
        w.actions.sending.text(c, "hi")  # type: ignore[union-attr]
        await w.until(lambda: w.fates(c) == [STORED])
        keys = {r.idempotency_key for r in w.heard(Send)}
        assert len(w.heard(Send)) == 3 and len(keys) == 1 and None not in keys


async def test_a_refused_text_says_why_and_lets_the_next_pass(tmp_path: Path) -> None:
    refusal = ChatError(ErrorCode.UNKNOWN_USER, "Nobody is called zed")
    done = Sent("zed", 1, "m1", NOON, STORED)
    async with window(tmp_path, {Send: one_after_another(refusal, done)}) as w:
        c = await w.open("zed")
        w.actions.sending.text(c, "one")  # type: ignore[union-attr]
        w.actions.sending.text(c, "two")  # type: ignore[union-attr]
        await w.until(lambda: w.fates(c) == ["refused", STORED])
        assert c.entries[0].why == "Nobody is called zed"


async def test_too_many_waiting_messages_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_WAITING_LINES", 3)
    never = asyncio.get_running_loop().create_future()
    async with window(tmp_path, {Send: lambda _: never}) as w:
        c = await w.open("bob")
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
        c = await w.open("bob")
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
        c = await w.open("bob")
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
        c = await w.open("bob")
        assert w.actions.sending is not None
        with pytest.raises(ChatError, match="empty"):
            w.actions.sending.file(c, tmp_path / "x", "x", 0)
        assert c.entries == []


async def test_a_bug_while_sending_does_not_hold_up_what_follows(tmp_path: Path) -> None:
    done = Sent("bob", 1, "m1", NOON, STORED)
    async with window(tmp_path, {Send: one_after_another(KeyError("x"), done)}) as w:
        c = await w.open("bob")
        w.actions.sending.text(c, "one")  # type: ignore[union-attr]
        w.actions.sending.text(c, "two")  # type: ignore[union-attr]
        await w.until(lambda: w.fates(c) == ["refused", STORED])


async def test_a_session_that_ends_releases_what_browsers_were_sending(tmp_path: Path) -> None:
    async with window(tmp_path) as w:
        c = await w.open("bob")
        assert w.actions.sending is not None
        upload = w.actions.sending.file(c, tmp_path / "x", "x.png", 4)
        released = []
        upload.release = lambda: released.append(1)
        await w.actions.sign_out()
        upload.ready(came=True)
        assert released == [1] and w.host.last.files == []
