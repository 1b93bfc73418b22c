"""Resolving senders' addresses: in bulk for a whole batch, and cached for both users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from shared.protocol.errors import ErrorCode
from shared.protocol.values import Address, GroupAddress
from tests.store.journaling import GROUP, commit, held, make_group, say
from tests.world import World
from ws_server.store import recipients
from ws_server.store.accounts import users
from ws_server.store.database import Database
from ws_server.store.drafts import MessageEntry
from ws_server.store.engines import bulk, postgresql_bulk, sqlite
from ws_server.store.engines.adapter import Statement
from ws_server.store.federation import realms
from ws_server.store.schema import conversations

ALICE, BOB, CAROL = 1, 2, 3
STATEMENTS = {
    name: value
    for module in (bulk, recipients)
    for name, value in vars(module).items()
    if isinstance(value, Statement)
}


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Record the number of input rows of each bulk statement."""
    rows: list[int] = []

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def count(self: Any, tx: Connection, what: Any, given: Sequence[Any]) -> Any:
            rows.append(len(given))
            return real(self, tx, what, given)

        return count

    with monkeypatch.context() as patch:
        for kind in (sqlite.Values, postgresql_bulk.Arrays):
            for name in ("ask", "change", "insert"):
                patch.setattr(kind, name, counting(getattr(kind, name)))
        yield rows


def codes(drafts: list[MessageEntry]) -> list[ErrorCode | None]:
    return [draft.error.code if draft.error else None for draft in drafts]


async def crowd(world: World, count: int) -> list[str]:
    names = [f"p{number}" for number in range(count)]
    await world.add_users(*names)
    return names


async def count_chats(world: World) -> int:
    def ask(tx: Connection) -> int:
        return tx.scalar(select(func.count()).select_from(conversations)) or 0

    return await world.realm.database.read(ask)


async def test_every_cold_message_cost_four_queries(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob", "carol")
        names = await crowd(world, 40)
        await make_group(world, "alice", "bob")
        for size in (10, 40):
            with counted(monkeypatch) as begun:
                await commit(
                    world.realm.journal, *(say(BOB, Address(name)) for name in names[:size])
                )
            assert len(begun) <= 7
    async with World(tmp_path, database=database_url) as world:
        drafts = [say(BOB, Address(name)) for name in names] + [say(ALICE, GROUP)]
        with counted(monkeypatch) as after_a_restart:
            await commit(world.realm.journal, *drafts)
        assert len(after_a_restart) <= 7
        assert codes(drafts) == [None] * 41
        again = [say(BOB, Address(name)) for name in names] + [say(BOB, GROUP)]
        with counted(monkeypatch) as warm:
            await commit(world.realm.journal, *again)
        assert len(warm) == 2
        assert [draft.message.seq for draft in again] == [draft.message.seq + 1 for draft in drafts]


async def test_the_answer_of_the_other_person_needs_no_lookup(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit(world.realm.journal, say(ALICE, Address("bob")))
    answer = say(BOB, Address("ALICE"))
    with counted(monkeypatch) as asked:
        await commit(world.realm.journal, answer)
    assert (answer.message.seq, len(asked)) == (2, 2)


async def test_what_was_posted_during_a_commit_was_looked_up_again_in_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = world.realm.journal
    with held(book):
        # The first batch creates the chat; later messages find it in the cache.
        first = asyncio.create_task(commit(book, *(say(ALICE, Address("bob")) for _ in range(512))))
        later = [say(BOB, Address("alice")) for _ in range(3)]
        second = asyncio.create_task(commit(book, *later))
        await asyncio.sleep(0)
    with counted(monkeypatch) as asked:
        await asyncio.gather(first, second)
    assert [draft.message.seq for draft in later] == [513, 514, 515]
    # Users, chats, new chats, their members, names; then moves and messages of each of the
    # two commits.
    assert asked == [1, 1, 1, 2, 2, 1, 512, 1, 3]


async def test_refusals_are_of_single_messages(world: World) -> None:
    await make_group(world, "alice", "bob")

    def meet(tx: Connection, now: int) -> None:
        for name, state in (("beta", realms.ACTIVE), ("gone", realms.BLOCKED)):
            realms.add(
                tx,
                name=name,
                public_key=name.encode(),
                own_name=name,
                address=None,
                port=None,
                tls=False,
                state=state,
                now=now,
            )

    await world.realm.journal.write(meet)
    drafts = [
        say(CAROL, Address("nobody")),
        say(CAROL, Address("bob")),
        say(CAROL, GROUP),
        say(ALICE, GROUP),
        say(CAROL, GroupAddress(7)),
        say(ALICE, GroupAddress(1, "beta")),
        say(CAROL, Address("bob", "beta")),
        say(CAROL, Address("BOB", "Beta")),
        say(CAROL, Address("bob", "gone")),
        say(CAROL, Address("bob", "nowhere")),
        say(CAROL, Address("carol")),
        say(CAROL, Address("Nobody")),
    ]
    await commit(world.realm.journal, *drafts)
    unknown_user, unknown_group = ErrorCode.UNKNOWN_USER, ErrorCode.UNKNOWN_GROUP
    assert codes(drafts) == [
        *(unknown_user, None, unknown_group, None, unknown_group, unknown_group),
        *(None, None, ErrorCode.FORBIDDEN, ErrorCode.UNKNOWN_REALM, None, unknown_user),
    ]
    assert [draft.message.seq for draft in drafts if draft.error is None] == [1, 1, 1, 2, 1]
    assert drafts[6].message.conversation.address(CAROL) == "bob@beta"
    last = drafts[-1].error
    assert last is not None and "Nobody" in last.message
    # The group, and carol's chats with bob, with bob of beta and with herself.
    assert await count_chats(world) == 4


async def test_a_repeated_key_begins_no_chat(world: World) -> None:
    await commit(world.realm.journal, say(ALICE, Address("bob"), key="k"))
    again = say(ALICE, Address("carol"), key="k")
    await commit(world.realm.journal, again)
    assert again.duplicate
    assert await count_chats(world) == 1


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - {"BEGIN"}))
def test_no_table_is_read_from_end_to_end(tmp_path: Path, name: str) -> None:
    """Which SQLite's planner might choose; only input rows may be scanned."""
    database = Database.open(f"sqlite:///{tmp_path / 'chat.db'}")

    def plan(tx: Connection) -> list[str]:
        given = [column.type.python_type() for column in STATEMENTS[name].given]
        statement = sqlite._about(tx.dialect, STATEMENTS[name], 4)
        rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(given * 4))
        return [str(row[3]) for row in rows]

    steps = database.write(plan)
    database.close()
    assert any(step.startswith("SEARCH") for step in steps)
    for step in steps:
        assert not step.startswith("SCAN") or step.split()[1] in ("given", "4"), steps


async def test_people_of_other_realms_keep_their_addresses(world: World) -> None:
    def meet(tx: Connection, now: int) -> tuple[int, int]:
        beta = realms.add(
            tx,
            name="Beta",
            public_key=b"beta",
            own_name="beta",
            address=None,
            port=None,
            tls=False,
            state=realms.ACTIVE,
            now=now,
        )
        return (
            users.of_realm(tx, beta.id, "bob", now).id,
            users.of_realm(tx, beta.id, "carol@gamma", now).id,
        )

    bob, carol = await world.realm.journal.write(meet)
    pairs = [(ALICE, bob), (ALICE, carol), (ALICE, ALICE)]
    found = await world.realm.journal.write(lambda tx, now: recipients.open_private(tx, pairs, now))
    shown = [found[pair].address(ALICE) for pair in pairs]
    assert shown == ["bob@Beta", "carol@gamma", "alice"]
    assert found == await world.realm.journal.write(
        lambda tx, now: recipients.open_private(tx, pairs, now)
    )
