"""Rules of blocks, bans and invitations in the store, on either kind of database."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from shared.protocol.errors import ChatError
from shared.protocol.values import Address, GroupAddress
from tests.strangers import invite_by_stranger, stranger
from tests.world import World
from ws_server.store import conversations
from ws_server.store.accounts import blocks, users
from ws_server.store.conversations import Conversation
from ws_server.store.database import Database
from ws_server.store.drafts import Draft, MessageEntry
from ws_server.store.groups import invitations, membership
from ws_server.store.message_content import MessageContent
from ws_server.store.migrating import migrate

FIRST = Path(__file__).with_name("schema_0001.sql")


async def write(world: World, change: Any) -> Any:
    return await world.realm.journal.write(change)


async def ids(world: World, *names: str) -> list[int]:
    return await write(world, lambda tx, now: [users.existing(tx, name).id for name in names])


async def block(world: World, one: int, other: str, blocked: bool = True) -> None:
    address = Address.parse(other)
    await write(world, lambda tx, now: blocks.set_blocked(tx, one, address, blocked, now))


async def send(world: World, sender: int, to: str, cached: Conversation | None = None) -> str:
    """Post a message; return the code of its refusal, or its state."""

    done: asyncio.Future[MessageEntry] = asyncio.get_running_loop().create_future()
    entry = MessageEntry(Draft(sender, Address.parse(to), MessageContent("hi")), cached=cached)
    entry.done = done.set_result
    world.realm.journal.post(entry)
    answer = await done
    return str(answer.error.code) if answer.error else answer.message.state


@pytest.mark.parametrize("order", [("alice", "bob"), ("bob", "alice")], ids=["low", "high"])
async def test_a_block_refuses_one_direction_whoever_has_the_lower_id(
    world: World, order: tuple[str, str]
) -> None:
    one, other = await ids(world, *order)
    assert await send(world, other, order[0]) == "stored"
    await block(world, one, order[1])
    assert await send(world, other, order[0]) == "forbidden"
    assert await send(world, one, order[1]) == "stored"
    await block(world, one, order[1], False)
    assert await send(world, other, order[0]) == "stored"


async def test_a_copy_in_memory_that_knows_no_block_is_not_relied_on(world: World) -> None:
    """The chat is cached when the block is written, as after earlier messages."""
    alice, bob = await ids(world, "alice", "bob")
    await send(world, bob, "alice")
    cached = world.realm.cache.get(bob, Address("alice"))
    assert cached is not None
    await block(world, alice, "bob")
    assert await send(world, bob, "alice", cached=cached) == "forbidden"
    assert world.realm.cache.get(bob, Address("alice")) is None


async def test_nobody_gets_blocked_in_notes_and_a_list_is_ones_own(world: World) -> None:
    alice, bob, carol = await ids(world, "alice", "bob", "carol")
    await block(world, alice, "carol")
    await block(world, alice, "bob")
    await block(world, bob, "alice")
    found = await write(
        world, lambda tx, now: [blocks.blocked_by(tx, id) for id in (alice, bob, carol)]
    )
    assert found == [["bob", "carol"], ["alice"], []]
    with pytest.raises(ChatError, match="forbidden"):
        await block(world, alice, "ALICE")
    assert await send(world, alice, "alice") == "stored"


async def test_an_invitation_waits_and_is_no_membership(world: World) -> None:
    (alice,) = await ids(world, "alice")
    address, made = await invite_by_stranger(world, "alice")
    assert (made.person.change, made.person.told) == ("invited", (alice,))

    def look(tx: Connection, now: int) -> tuple[Any, ...]:
        group = conversations.load(tx, id=made.group.id)
        assert group is not None
        waiting = invitations.waiting(tx, alice)
        return alice in group.members, [(s.address, s.name, s.invited) for s in waiting]

    assert await write(world, look) == (False, [(address, "offers", True)])
    number = GroupAddress(made.group.number or 0)
    person = await write(world, lambda tx, now: users.existing(tx, "alice"))
    joined = await write(world, lambda tx, now: membership.accept(tx, person, number))
    assert (joined.person.change, alice in joined.group.members) == ("joined", True)
    assert await write(world, lambda tx, now: invitations.waiting(tx, alice)) == []


async def test_somebody_alice_has_written_to_is_no_stranger(world: World) -> None:
    (alice,) = await ids(world, "alice")
    sam = await write(world, lambda tx, now: stranger(tx, now).id)
    assert await send(world, sam, "alice") == "stored"
    _, made = await invite_by_stranger(world, "alice")
    assert made.person.change == "invited"
    assert await send(world, alice, "sam@beta") == "queued"
    _, made = await invite_by_stranger(world, "alice")
    assert made.person.change == "joined"


async def test_invitations_that_wait_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "MAX_OF_PERSON", 2)
    monkeypatch.setattr(invitations, "MAX_OF_REALM", 3)
    for _ in range(2):
        await invite_by_stranger(world, "alice")
    with pytest.raises(ChatError, match="rate_limited"):
        await invite_by_stranger(world, "alice", by="tom", realm="gamma")
    await invite_by_stranger(world, "bob", by="tim")
    with pytest.raises(ChatError, match="rate_limited"):
        await invite_by_stranger(world, "carol", by="tam")
    await invite_by_stranger(world, "carol", by="tom", realm="gamma")


async def test_a_blocked_strangers_invitation_is_refused(world: World) -> None:
    (alice,) = await ids(world, "alice")
    await write(world, stranger)
    await block(world, alice, "sam@beta")
    with pytest.raises(ChatError, match="forbidden: Nothing can be sent to alice"):
        await invite_by_stranger(world, "alice")


def test_data_of_before_has_no_blocks_and_takes_some(tmp_path: Path) -> None:
    """Schema 0006, and the first one."""
    for revision in ("0001", "0006"):
        path = tmp_path / f"{revision}.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(FIRST.read_text(encoding="utf-8"))
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as tx:
            migrate(tx, revision)
        engine.dispose()
        database = Database.open(f"sqlite:///{path}")

        def use(tx: Connection) -> tuple[list[str], list[str], list[Any]]:
            first, second, *_ = users.all_accounts(tx)
            before = blocks.blocked_by(tx, first.id)
            blocks.set_blocked(tx, first.id, Address(second.name), True, 1)
            after = blocks.blocked_by(tx, first.id)
            return before, [*after, second.name], list(invitations.waiting(tx, first.id))

        before, (after, name), waiting = database.write(use)
        database.close()
        assert (before, after, waiting) == ([], name, [])
