"""Rules of finding messages by their idempotency keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from shared.protocol.values import Address
from tests.store.journaling import commit, say
from tests.world import World
from ws_server.store.engines import bulk, sqlite

ALICE, BOB = 1, 2


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        await world.add_users("alice", "bob")
        yield world


async def test_a_key_is_its_senders_alone(world: World) -> None:
    await commit(world.realm.journal, say(ALICE, Address("bob"), key="one"))
    asked = [(ALICE, "one"), (BOB, "one"), (ALICE, "two"), (ALICE, "")]
    assert await world.realm.database.read(bulk.used_keys, asked) == {(ALICE, "one")}


@pytest.mark.parametrize("count", [0, 1, 2, 5, 255, 256, 257, 600])
async def test_any_number_of_keys_can_be_asked_for(world: World, count: int) -> None:
    written = [(ALICE, f"key-{number}") for number in range(count)]
    drafts = [say(ALICE, Address("bob"), key=key) for _, key in written]
    if drafts:
        await commit(world.realm.journal, *drafts)
    asked = written + [(BOB, key) for _, key in written]
    assert await world.realm.database.read(bulk.used_keys, asked) == set(written)


@pytest.mark.parametrize("count", sqlite.CHUNKS)
async def test_each_key_is_sought_in_the_index_and_the_history_not_read(
    world: World, count: int
) -> None:
    """Fixed: a batch of keyed messages took 25 ms in a history of 100,000, and rising."""

    def plan(tx: Connection) -> list[str]:
        if tx.dialect.name != "sqlite":
            pytest.skip("only SQLite's planner was led astray")
        statement = sqlite._about(tx.dialect, bulk.KEYED, count)
        rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", (0, "") * count)
        return [str(row[3]) for row in rows]

    steps = await world.realm.database.read(plan)
    assert any("SEARCH messages" in step and "idempotency_key=?" in step for step in steps)
    assert not any(step.startswith("SCAN messages") for step in steps), steps
