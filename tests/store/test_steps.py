"""Rules of queries in steps: those of several users share their statements, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, select

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address
from tests.store.journaling import commit, say
from tests.world import World
from ws_server.store import conversation_summaries, sync_query
from ws_server.store.accounts import tokens
from ws_server.store.database import current_requester
from ws_server.store.engines.adapter import READERS, Bulk, bulk_of
from ws_server.store.entries import Mutation, Together
from ws_server.store.schema import tokens as table
from ws_server.store.steps import Steps, alone, answer_all
from ws_server.threads import TOGETHER

ALICE, BOB, CAROL = 1, 2, 3


class Counting:
    """A `Bulk` that counts the statements run by the real one."""

    def __init__(self, real: Bulk) -> None:
        self.real = real
        self.count = 0

    def ask(self, *asked: Any) -> Sequence[Any]:
        self.count += 1
        return self.real.ask(*asked)


@contextmanager
def counted(tx: Connection) -> Iterator[Counting]:
    """Count the statements in a transaction."""
    real = bulk_of(tx)
    counting = Counting(real)
    tx.execution_options(bulk=counting)
    yield counting
    tx.execution_options(bulk=real)


@pytest.fixture
async def talked(world: World) -> World:
    """Alice wrote to bob, bob to carol, and carol to alice twice."""
    pairs = (ALICE, "bob"), (BOB, "carol"), (CAROL, "alice"), (CAROL, "alice")
    await commit(world.realm.journal, *(say(who, Address(to)) for who, to in pairs))
    return world


async def test_everybody_who_came_back_cost_statements_of_their_own(talked: World) -> None:
    def ask(tx: Connection) -> tuple[list[Any], list[int]]:
        people: list[dict[str, int]] = [{}, {"alice": 1, "carol": 0}, {"bob": 0}]
        counts = []
        answers: list[Any] = []
        for questions in (
            [conversation_summaries.unread(reader) for reader in (ALICE, BOB, CAROL)],
            [
                sync_query.missed(reader, {Address(who): seq for who, seq in have.items()})
                for reader, have in zip((ALICE, BOB, CAROL), people, strict=True)
            ],
        ):
            with counted(tx) as counting:
                answers.append(answer_all(tx, questions))
            counts.append(counting.count)
        return answers, counts

    (unread, missed), counts = await talked.realm.database.read(ask)
    assert unread == [{"carol": 2}, {"alice": 1}, {"bob": 1}]
    assert [sorted((m.conversation, m.seq) for m in found.messages) for found in missed] == [
        [("bob", 1), ("carol", 1), ("carol", 2)],
        [("carol", 1)],
        [("alice", 1), ("alice", 2), ("bob", 1)],
    ]
    assert counts == [1, 2]


async def test_a_refusal_is_that_of_one_and_the_others_are_answered(talked: World) -> None:
    def refused(reader: int) -> Steps[dict[str, int]]:
        found = yield from conversation_summaries.unread(reader)
        if reader == BOB:
            raise ChatError(ErrorCode.FORBIDDEN, "not bob")
        return found

    def ask(tx: Connection) -> list[Any]:
        return answer_all(tx, [refused(reader) for reader in (ALICE, BOB, CAROL)])

    alice, bob, carol = await talked.realm.database.read(ask)
    assert (alice, carol) == ({"carol": 2}, {"bob": 1})
    assert isinstance(bob, ChatError) and bob.code is ErrorCode.FORBIDDEN


async def look_up_at_once(world: World, question: Any, askers: Sequence[int]) -> list[Any]:
    """Send these queries while all readers are busy, and return the results."""
    database = world.realm.database
    go_on = threading.Event()

    async def ask(who: int) -> Any:
        current_requester.set(who)
        return await database.look_up(question, who)

    async def keep_busy(number: int) -> None:
        current_requester.set(f"busy {number}")
        await database.read(lambda tx: go_on.wait(10))

    busy = [asyncio.create_task(keep_busy(number)) for number in range(READERS)]
    asking = [asyncio.create_task(ask(who)) for who in askers]
    await asyncio.sleep(0)
    assert database.waiting == len(askers)
    go_on.set()
    await asyncio.gather(*busy)
    return await asyncio.gather(*asking, return_exceptions=True)


async def test_those_who_wait_at_the_same_time_are_answered_at_the_same_time(
    talked: World,
) -> None:
    """At most TOGETHER of them, so that no query waits for a large batch."""
    seen: dict[int, str] = {}

    def note(what: str) -> None:
        thread = threading.get_ident()
        seen[thread] = seen.get(thread, "") + what

    def question(reader: int) -> Steps[int]:
        note("-")
        yield from alone(lambda tx: note("|"))
        return reader

    askers = range(10, 10 + 3 * TOGETHER)
    assert await look_up_at_once(talked, question, askers) == [*askers]
    begun = [run for thread in seen.values() for run in thread.split("|") if run]
    assert begun == ["-" * TOGETHER] * 3


async def test_a_bug_in_one_question_leaves_the_others_their_answers(talked: World) -> None:
    def question(reader: int) -> Steps[dict[str, int]]:
        found = yield from conversation_summaries.unread(reader)
        if reader == BOB:
            raise KeyError("a bug")
        return found

    alice, bob, carol = await look_up_at_once(talked, question, (ALICE, BOB, CAROL))
    assert (alice, carol) == ({"carol": 2}, {"bob": 1})
    assert isinstance(bob, KeyError)


async def test_each_resume_cost_the_writer_two_round_trips_of_its_own(world: World) -> None:
    people = (ALICE, BOB, CAROL)

    def keep(tx: Connection, now: int) -> None:
        for who in people:
            tokens.add_token(tx, who, b"%d" % who, 1)

    await world.realm.journal.write(keep)
    counting: Counting | None = None

    def begin(tx: Connection, now: int) -> None:
        nonlocal counting
        counting = Counting(bulk_of(tx))
        tx.execution_options(bulk=counting)

    def end(tx: Connection, now: int) -> None:
        assert counting is not None
        tx.execution_options(bulk=counting.real)

    def use(token: bytes) -> Together:
        return Together(lambda now: tokens.use_token(token, now, 0, "192.0.2.1"))

    entries = [use(b"%d" % who) for who in (*people, 4)]
    await commit(world.realm.journal, Mutation(begin), *entries, Mutation(end))
    assert [entry.result and entry.result.name for entry in entries] == [
        *("alice", "bob", "carol"),
        None,
    ]
    assert counting is not None and counting.count == 2


async def test_a_change_in_steps_that_is_refused_undoes_itself_alone(world: World) -> None:
    def use(who: int) -> Steps[int]:
        yield from alone(tokens.add_token, who, b"%d" % who, 1)
        if who == BOB:
            raise ChatError(ErrorCode.FORBIDDEN, "not bob")
        return who

    entries = [Together(lambda now, who=who: use(who)) for who in (ALICE, BOB, CAROL)]  # type: ignore[misc]
    await commit(world.realm.journal, *entries)
    assert [(entry.result, entry.error and entry.error.code) for entry in entries] == [
        (ALICE, None),
        (None, ErrorCode.FORBIDDEN),
        (CAROL, None),
    ]
    kept = await world.realm.database.read(lambda tx: set(tx.scalars(select(table.c.user_id))))
    assert kept == {ALICE, CAROL}
