"""Rules of the journal: order, shared commits, faults that leave no trace, orderly closing."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select, text

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address
from tests.store.journaling import REFUSED, commit, group_names, held, note, say, texts
from tests.world import World
from ws_server.store import journal, write_queue
from ws_server.store import messages as message_store
from ws_server.store.cache import Cache
from ws_server.store.database import Database, adapter_for
from ws_server.store.drafts import MessageEntry
from ws_server.store.entries import Entry, Mutation
from ws_server.store.groups import group_members
from ws_server.store.journal import Journal
from ws_server.store.schema import messages


async def test_entries_take_effect_and_are_answered_in_the_order_posted(world: World) -> None:
    book = world.realm.journal
    ran: list[int] = []
    answered: list[int] = []
    entries: list[Entry] = []
    for number in range(600):  # more than a batch
        entry: Entry = note(ran, number) if number % 3 else say(1, Address("bob"), str(number))
        entries.append(entry)
    finished = asyncio.Event()

    def done(entry: Any) -> None:
        answered.append(entries.index(entry))
        if len(answered) == len(entries):
            finished.set()

    for entry in entries:
        entry.done = done
        book.post(entry)
    await finished.wait()
    assert ran == [n for n in range(600) if n % 3]
    assert answered == list(range(600))
    stored = await world.realm.database.read(texts)
    assert stored == [(at + 1, str(n)) for at, n in enumerate(range(0, 600, 3))]


async def test_what_is_posted_in_one_pass_shares_one_commit(world: World) -> None:
    book = world.realm.journal
    before = book.commits
    await commit(book, *(say(1, Address("bob")) for _ in range(100)))
    assert book.commits - before == 1


async def test_what_comes_during_a_commit_is_written_by_the_next_one(world: World) -> None:
    book = world.realm.journal
    before = book.commits
    with held(book):
        posted = asyncio.create_task(commit(book, *(say(1, Address("bob")) for _ in range(100))))
        await asyncio.sleep(0)
        assert book.waiting == 100
    await posted
    assert (book.commits - before, book.waiting) == (2, 0)


async def test_a_batch_is_bounded(world: World) -> None:
    book = world.realm.journal
    before = book.commits
    await commit(book, *(note([], n) for n in range(journal.MAX_BATCH + 1)))
    assert book.commits - before == 2


async def test_done_is_called_only_once_the_entry_is_on_disk(
    world: World, database_url: str
) -> None:
    seen: list[int | None] = []
    other = adapter_for(database_url)

    def look() -> int | None:
        return other.read(lambda tx: tx.scalar(select(func.count()).select_from(messages)))

    def done(draft: MessageEntry) -> None:
        with ThreadPoolExecutor(1) as thread:
            seen.append(thread.submit(look).result())

    draft = say(1, Address("bob"))
    draft.done = done
    world.realm.journal.post(draft)
    await world.realm.journal.write(lambda tx, now: None)
    other.close()
    assert seen == [1]


async def test_a_refused_change_undoes_itself_alone(world: World) -> None:
    def refuse(tx: Connection, now: int) -> None:
        group_members.create_group(tx, 1, "never", now)
        raise REFUSED

    def make(name: str) -> Mutation:
        return Mutation(lambda tx, now: group_members.create_group(tx, 1, name, now).number)

    first, wrong, second = make("one"), Mutation(refuse), make("two")
    await commit(world.realm.journal, first, wrong, second)
    assert (first.result, wrong.error, second.result) == (1, REFUSED, 2)
    assert await world.realm.database.read(group_names) == ["one", "two"]


async def test_write_raises_what_the_change_refused(world: World) -> None:
    def refuse(tx: Connection, now: int) -> None:
        raise REFUSED

    with pytest.raises(ChatError) as refused:
        await world.realm.journal.write(refuse)
    assert refused.value is REFUSED


async def test_a_cancelled_write_is_written_and_disturbs_nobody(world: World) -> None:
    book = world.realm.journal
    ran: list[str] = []
    with held(book):
        task = asyncio.create_task(book.write(note(ran, "cancelled").change))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await book.write(lambda tx, now: "next") == "next"
    assert ran == ["cancelled"]


def disk_full(tx: Connection, now: int) -> None:
    if tx.dialect.name == "sqlite":
        raise sqlite3.OperationalError("database or disk is full")
    tx.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$")


def programming_error(tx: Connection, now: int) -> None:
    raise KeyError("a bug")


def constraint(tx: Connection, now: int) -> None:
    tx.execute(text("INSERT INTO messages (conversation_id) VALUES (1)"))


def constraint_found_by_the_commit(tx: Connection, now: int) -> None:
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    else:
        for key in ("owner_id", "conversation_id"):
            tx.exec_driver_sql(
                f"ALTER TABLE files ALTER CONSTRAINT fk_files_{key} DEFERRABLE INITIALLY DEFERRED"
            )
    tx.exec_driver_sql(
        "INSERT INTO files (id, conversation_id, owner_id, name, size, type, sha256) "
        "VALUES ('f', 999, 999, 'n', 1, 't', 's')"
    )


FAULTS = [
    (disk_full, ErrorCode.UNAVAILABLE),
    (constraint_found_by_the_commit, ErrorCode.INTERNAL),
]


@pytest.mark.parametrize("fault", [programming_error, constraint])
async def test_a_bug_in_one_change_refuses_no_other(world: World, fault: Any) -> None:
    """Fixed bug: one frame of another realm failed all messages of its batch as `internal`."""
    book, database = world.realm.journal, world.realm.database
    batch = [
        say(1, Address("bob"), "before"),
        Mutation(fault),
        Mutation(lambda tx, now: group_members.create_group(tx, 1, "made", now)),
        say(2, Address("alice"), "after"),
    ]
    await commit(book, *batch)
    codes = [entry.error.code if entry.error else None for entry in batch]
    assert codes == [None, ErrorCode.INTERNAL, None, None]
    assert await database.read(texts) == [(1, "before"), (2, "after")]
    assert await database.read(group_names) == ["made"]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
async def test_a_fault_refuses_the_whole_batch_and_leaves_nothing(
    world: World, fault: Any, code: ErrorCode
) -> None:
    book, database = world.realm.journal, world.realm.database
    first = say(1, Address("bob"), "kept")
    await commit(book, first)
    cached = first.message.conversation
    batch = [
        say(1, Address("bob"), "lost", cached=cached),
        Mutation(lambda tx, now: group_members.create_group(tx, 1, "lost", now)),
        Mutation(fault),
        say(2, Address("alice"), "lost too", cached=cached, key="k"),
        say(3, Address("alice"), "lost as well"),
    ]
    await commit(book, *batch)
    assert [entry.error.code for entry in batch if entry.error] == [code] * 5
    assert await database.read(texts) == [(1, "kept")]
    assert cached.last_seq == 1
    assert await database.read(group_names) == []

    # The next seq follows without a gap, and a key of the failed batch can be used again.
    again = say(2, Address("alice"), "again", cached=cached, key="k")
    other = say(3, Address("alice"), "other")
    await commit(book, again, other)
    assert (again.error, again.message.seq, again.duplicate) == (None, 2, False)
    assert (other.error, other.message.seq) == (None, 1)
    assert cached.last_seq == 2


async def test_a_fault_of_the_store_is_told_without_what_people_wrote(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    what = {"what": "my secret"}

    def fails(tx: Connection, now: int) -> None:
        tx.execute(text("INSERT INTO nowhere VALUES (:what)"), what)

    with pytest.raises(ChatError):
        await world.realm.journal.write(fails)
    assert "nowhere" in caplog.text
    assert "my secret" not in caplog.text


async def test_too_many_waiting_entries_are_refused_as_unavailable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "MAX_WAITING", 10)
    book = world.realm.journal
    ran: list[int] = []
    waiting = asyncio.Event()
    with held(book):
        for number in range(9):
            book.post(note(ran, number))
        last = note(ran, 9)
        last.done = lambda _: waiting.set()
        book.post(last)
        with pytest.raises(ChatError) as refused:
            book.post(note(ran, 11))
        assert refused.value.code is ErrorCode.UNAVAILABLE
    await waiting.wait()
    assert ran == list(range(10))


async def test_closing_writes_what_waits_during_a_commit(tmp_path: Path, database_url: str) -> None:
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob")
        book = world.realm.journal
        with held(book):
            posted = asyncio.create_task(
                commit(book, *(say(1, Address("bob"), str(n)) for n in range(600)))
            )
            await asyncio.sleep(0)
            closing = asyncio.create_task(book.close())
            await asyncio.sleep(0)
            with pytest.raises(ChatError) as refused:
                book.post(note([], 0))
            assert refused.value.code is ErrorCode.UNAVAILABLE
        await closing
        await posted
        assert len(await world.realm.database.read(texts)) == 600


async def test_closing_writes_what_was_posted_just_before(database_url: str) -> None:
    database = await asyncio.to_thread(Database.open, database_url)
    book = Journal(database, Cache())
    answered: list[Any] = []
    entry = note([], 7)
    entry.done = answered.append
    book.post(entry)
    await book.close()
    database.close()
    assert answered == [entry] and entry.result == 7


def test_the_id_of_a_message_is_never_used_twice() -> None:
    assert len({message_store.new_id("m") for _ in range(1_000)}) == 1_000


async def test_a_batch_looked_for_repeated_posts_by_a_list_of_all_its_keys(world: World) -> None:
    """Fixed: compiling and planning each length anew was half the cost of a message on SQLite."""
    first = say(1, Address("bob"))
    await commit(world.realm.journal, first)
    drafts = [
        say(1, Address("bob"), cached=first.message.conversation, key=f"k{number}")
        for number in range(9)
    ]
    seen: list[str] = []

    def note_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note_statement)
    try:
        await commit(world.realm.journal, *drafts)
    finally:
        event.remove(Engine, "before_cursor_execute", note_statement)
    assert [draft.message.seq for draft in drafts] == list(range(2, 11))
    assert not [statement for statement in seen if "posts" in statement]
