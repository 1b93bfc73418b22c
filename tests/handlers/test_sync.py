"""Rules of catching up with `sync`; section 6 (Reading) of the contract."""

from __future__ import annotations

from typing import Any

import orjson

from tests.handlers.test_history import numbers, write
from tests.world import Person, World


async def catch_up(person: Person, have: dict[str, int]) -> list[dict[str, Any]]:
    """Sync until nothing is missed and return the messages, checking that none came twice."""
    have = dict(have)
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = await person.ask("sync", have=have)
        assert page["recovered"] is True
        assert len(orjson.dumps(page)) < 2**20
        more = page["more"]
        assert page["messages"] or not more
        times = [message["time"] for message in page["messages"]]
        assert times == sorted(times)
        for message in page["messages"]:
            assert message["seq"] == have.get(message["conversation"], 0) + 1
            have[message["conversation"]] = message["seq"]
        found += page["messages"]
    return found


async def test_what_was_missed_comes_once_and_complete_over_many_pages(world: World) -> None:
    alice, bob, _ = await world.log_in("alice", "bob", "carol")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    for _ in range(5):
        await write(alice, "bob", 90)
        await write(alice, group, 70)
        await write(bob, "carol", 60)
    found = await catch_up(bob, {"alice": 100})
    assert len(found) == 350 + 350 + 300
    by_conversation: dict[str, list[int]] = {}
    for message in found:
        by_conversation.setdefault(message["conversation"], []).append(message["seq"])
    assert by_conversation == {
        "alice": numbers(101, 450),
        group: numbers(1, 350),
        "carol": numbers(1, 300),
    }


async def test_large_messages_are_caught_up_too(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    await write(alice, "bob", 40, "\x01" * 16_384)
    await write(alice, group, 40, "x" * 16_384)
    assert len(await catch_up(bob, {})) == 80


async def test_who_has_everything_missed_nothing(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 3)
    for address in ("alice", "ALICE", "alice@alpha"):
        page = await bob.ask("sync", have={address: 3})
        assert (page["messages"], page["more"], page["recovered"]) == ([], False, True)


async def test_positions_of_all_conversations_come_along(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    await write(alice, group, 2)
    await write(alice, "bob", 3)
    await write(bob, "alice", 1)
    await bob.ask("read", conversation="alice", seq=1)
    await alice.ask("read", conversation="bob", seq=4)
    page = await bob.ask("sync", have={"alice": 4, group: 2})
    positions = {p["conversation"]: p for p in page["conversations"]}
    assert positions.keys() == {"alice", group}
    private, team = positions["alice"], positions[group]
    assert (private["last_seq"], private["read_seq"], private["unread"]) == (4, 1, 2)
    assert (team["last_seq"], team["read_seq"], team["unread"]) == (2, 0, 2)


async def test_another_epoch_or_a_position_ahead_means_another_history(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 3)
    epoch = (await bob.ask("sync", have={}))["epoch"]
    assert (await world.connect().ask("resume", token=bob.token))["epoch"] == epoch
    assert (await bob.ask("sync", have={"alice": 1}, epoch=epoch))["recovered"] is True
    for have, asked in [({"alice": 1}, "another"), ({"alice": 4}, epoch), ({"bob": 1}, epoch)]:
        page = await bob.ask("sync", have=have, epoch=asked)
        assert (page["recovered"], page["messages"], page["more"]) == (False, [], False)
        assert page["epoch"] == epoch
        assert [p["last_seq"] for p in page["conversations"]] == [3]


async def test_groups_that_were_left_are_ignored(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    await write(alice, group, 3)
    await write(alice, "bob", 1)
    await bob.ask("leavegroup", group=group)
    for seq in (0, 2, 3):
        page = await bob.ask("sync", have={group: seq})
        assert (page["recovered"], page["more"]) == (True, False)
        assert [m["conversation"] for m in page["messages"]] == ["alice"]
        assert [p["conversation"] for p in page["conversations"]] == ["alice"]


async def test_sync_marks_nothing(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 3)
    page = await bob.ask("sync", have={})
    assert page["conversations"][0]["unread"] == 3
    assert await alice.pushes() == []


async def test_positions_must_be_conversations_and_whole_numbers(world: World) -> None:
    (bob,) = await world.log_in("bob")
    wrong: list[object] = [
        [],
        None,
        {"alice": "1"},
        {"alice": -1},
        {"al ice": 1},
        {"#0": 1},
        {"a": True},
    ]
    for have in wrong:
        assert await bob.refused("sync", have=have) == "bad_arguments"
