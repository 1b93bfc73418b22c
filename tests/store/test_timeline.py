"""Rules of time: within a conversation it always rises, even if the clock jumps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text

from shared.protocol.values import Address, GroupAddress
from tests.cluster import KINDS, Cluster
from tests.store.journaling import commit, make_group, say
from tests.world import World
from ws_server.store import conversation_summaries, timeline
from ws_server.store.database import adapter_for
from ws_server.store.migrating import migrate
from ws_server.store.schema import conversations
from ws_server.store.timeline import Timeline

ALICE, BOB, CAROL = 1, 2, 3
YEAR = 365 * 24 * 3600 * 1000


class Clocks:
    """The clocks that the store reads, set by tests."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000_000, 5

    def time_ns(self) -> int:
        return self.wall * 1_000_000

    def monotonic_ns(self) -> int:
        return self.steady * 1_000_000

    def pass_by(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.steady += milliseconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()
    monkeypatch.setattr(timeline, "time", made)
    return made


async def sent(world: World, sender: int, to: str) -> int:
    """Send a message and return its time."""
    draft = say(sender, GroupAddress(int(to[1:])) if to[0] == "#" else Address(to))
    await commit(world.realm.journal, draft)
    assert draft.error is None
    return draft.message.time


async def listed(world: World, reader: int) -> list[str]:
    return [
        s.address
        for s in await world.realm.database.look_up(conversation_summaries.standings, reader)
    ]


def test_messages_have_the_time_of_the_wall_clock_while_that_goes_on(clocks: Clocks) -> None:
    line = Timeline()
    assert line.time_after(1, 0, 100) == 100
    assert line.time_after(1, 100, 100) == 100
    assert line.time_after(1, 100, 101) == 101


async def test_a_clock_that_was_a_year_ahead_freezes_no_conversation(
    world: World, clocks: Clocks
) -> None:
    before = await sent(world, ALICE, "carol")
    clocks.wall += YEAR
    wrong = await sent(world, ALICE, "bob")
    clocks.wall -= YEAR
    times = [wrong]
    for _ in range(3):
        clocks.pass_by(60_000)
        times.append(await sent(world, BOB, "alice"))
    assert [later - earlier for earlier, later in zip(times, times[1:], strict=False)] == [
        60_000
    ] * 3
    # Conversations without messages in that time have the right time.
    assert await sent(world, ALICE, "carol") == clocks.wall == before + 180_000
    assert await sent(world, CAROL, "bob") == clocks.wall


async def test_messages_of_one_commit_go_on_while_their_conversation_is_ahead(
    world: World, clocks: Clocks
) -> None:
    clocks.wall += YEAR
    wrong = await sent(world, ALICE, "bob")
    clocks.wall -= YEAR
    drafts = [say(ALICE, Address("bob")) for _ in range(3)]
    await commit(world.realm.journal, *drafts)
    assert [draft.message.time - wrong for draft in drafts] == [1, 2, 3]


async def test_a_conversation_ahead_meets_the_wall_clock_when_that_has_caught_up(
    world: World, clocks: Clocks
) -> None:
    clocks.wall += 5_000
    await sent(world, ALICE, "bob")
    clocks.wall -= 5_000
    await sent(world, ALICE, "bob")
    clocks.wall += 5_002
    assert await sent(world, ALICE, "bob") == clocks.wall


async def test_time_does_not_go_back_over_a_restart(
    tmp_path: Path, database_url: str, clocks: Clocks
) -> None:
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob", "carol")
        clocks.wall += YEAR
        wrong = await sent(world, ALICE, "bob")
        clocks.wall -= YEAR
    clocks.steady = 5  # the machine was started anew too
    async with World(tmp_path, database=database_url) as world:
        first = await sent(world, ALICE, "bob")
        clocks.pass_by(1_000)
        second = await sent(world, ALICE, "bob")
        assert wrong < first < second
        assert second - first == 1_000
        assert await sent(world, ALICE, "carol") == clocks.wall


async def test_lists_are_ordered_by_what_happened_not_by_a_wrong_clock(
    tmp_path: Path, database_url: str, clocks: Clocks
) -> None:
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob", "carol")
        clocks.wall += YEAR
        await make_group(world, "alice", "bob")  # 1 is empty
        await sent(world, ALICE, "bob")
        clocks.wall -= YEAR
        await sent(world, ALICE, "carol")
        assert await listed(world, ALICE) == ["carol", "bob", "#1"]
    async with World(tmp_path, database=database_url) as world:
        clocks.wall -= YEAR
        await make_group(world, "alice", "bob")
        assert await listed(world, ALICE) == ["#2", "carol", "bob", "#1"]
        await sent(world, ALICE, "#1")
        await sent(world, BOB, "alice")
        assert await listed(world, ALICE) == ["bob", "#1", "#2", "carol"]


async def test_an_empty_group_does_not_stay_above_newer_messages(world: World) -> None:
    await sent(world, ALICE, "bob")
    await make_group(world, "alice", "bob")
    assert await listed(world, ALICE) == ["#1", "bob"]
    await sent(world, BOB, "alice")
    assert await listed(world, ALICE) == ["bob", "#1"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_there_before_gets_its_place(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A realm of the previous version, whose clock was ahead for a while."""
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'chat.db'}"
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        url = cluster.new_database()

    def fill(tx: Connection) -> None:
        migrate(tx, "0003")
        tx.execute(
            text(
                "INSERT INTO users (id, name, key, real_name, country, password, admin, disabled, "
                "created) VALUES (1, 'a', 'a', '', '', '', :no, :no, 1)"
            ),
            {"no": False},
        )

        def conversation(id: int, last_seq: int, created: int) -> None:
            tx.execute(
                text(
                    "INSERT INTO conversations (id, number, name, last_seq, version, created) "
                    f"VALUES ({id}, {id}, 'g', {last_seq}, 1, {created})"
                )
            )

        # 1: empty and old; 2: has a message from while the clock was ahead; 3: has a later one with
        # the right time; 4: empty, created in between; 5: has the newest; 6: empty and the newest.
        for id, last_seq, created in (
            *((1, 0, 100), (2, 2, 200), (3, 1, 300)),
            *((4, 0, 450), (5, 1, 500), (6, 0, 700)),
        ):
            conversation(id, last_seq, created)
        columns = '"row", conversation_id, seq, id, sender_id, time, text'
        for row in ((1, 2, 1, 210), (2, 2, 2, 210 + YEAR), (3, 3, 1, 400), (4, 5, 1, 600)):
            number, id, seq, at = row
            tx.execute(
                text(
                    f"INSERT INTO messages ({columns}) "
                    f"VALUES ({number}, {id}, {seq}, 'm{number}', 1, {at}, 'x')"
                )
            )

    def found(tx: Connection) -> list[Any]:
        migrate(tx)
        c = conversations.c
        return list(tx.execute(select(c.id, c.last_time).order_by(c.activity.desc())))

    adapter = adapter_for(url)
    adapter.prepare(fill)
    placed = adapter.write(found)
    adapter.close()
    assert placed == [(6, 0), (5, 600), (4, 0), (3, 400), (2, 210 + YEAR), (1, 0)]


async def test_a_database_of_before_goes_on_from_its_order(
    tmp_path: Path, database_url: str
) -> None:
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob", "carol")
        await sent(world, ALICE, "bob")
        await sent(world, ALICE, "carol")
    async with World(tmp_path, database=database_url) as world:
        await sent(world, ALICE, "bob")
        assert await listed(world, ALICE) == ["bob", "carol"]
