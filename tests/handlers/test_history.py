"""Rules of reading and markers; section 6 (Reading) of the contract."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.conversations.stages import Seat
from tests.world import Person, World


async def write(person: Person, to: str, count: int, text: str = "hi") -> None:
    """Send `count` messages at once."""
    key, command = ("group", "sendg") if to.startswith("#") else ("to", "send")
    frame = orjson.dumps({"command": command, key: to, "text": text})
    for _ in range(count):
        person.send(frame)
    for _ in range(count):
        assert (await person.reply())["status"] == "OK"


async def seqs(person: Person, **bounds: int) -> tuple[list[int], bool]:
    page = await person.ask("history", conversation="alice", **bounds)
    return [message["seq"] for message in page["messages"]], page["more"]


def numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


# Pages


async def test_bounds_are_exclusive_and_more_looks_in_the_direction_asked(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 60)
    assert await seqs(bob) == (numbers(11, 60), True)
    assert await seqs(bob, limit=60) == (numbers(1, 60), False)
    assert await seqs(bob, limit=200) == (numbers(1, 60), False)
    assert await seqs(bob, limit=59) == (numbers(2, 60), True)
    assert await seqs(bob, before=11) == (numbers(1, 10), False)
    assert await seqs(bob, before=11, limit=10) == (numbers(1, 10), False)
    assert await seqs(bob, before=11, limit=9) == (numbers(2, 10), True)
    assert await seqs(bob, before=2) == ([1], False)
    assert await seqs(bob, before=1) == ([], False)
    assert await seqs(bob, before=1000, limit=2) == ([59, 60], True)
    assert await seqs(bob, after=0, limit=2) == ([1, 2], True)
    assert await seqs(bob, after=58, limit=2) == ([59, 60], False)
    assert await seqs(bob, after=57, limit=2) == ([58, 59], True)
    assert await seqs(bob, after=60) == ([], False)
    assert await seqs(bob, after=1000) == ([], False)


@pytest.mark.parametrize(
    "command, key",
    [("history", "conversation"), ("inbox", "user"), ("inboxgroup", "group")],
)
async def test_limits_are_1_to_200(world: World, command: str, key: str) -> None:
    alice, _ = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    asked = {key: group if key == "group" else "bob"}
    for limit in (0, 201, -1, 1.5, "5", True, 2**60):
        assert await alice.refused(command, **asked, limit=limit) == "bad_arguments"
    for limit in (1, 200):
        assert (await alice.ask(command, **asked, limit=limit))["messages"] == []
    assert await alice.refused(command, **asked, before=-1) == "bad_arguments"


async def test_before_and_after_exclude_each_other(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    asked = {"conversation": "bob", "before": 5, "after": 1}
    assert await alice.refused("history", **asked) == "bad_arguments"
    assert await alice.refused("inbox", user="bob", after=1) == "bad_arguments"


@pytest.mark.parametrize("text", ["x" * 16_384, "\x01" * 16_384, "é" * 8_192, "\u2028" * 5_461])
async def test_a_page_ends_at_512_kib_and_leaves_nothing_out(world: World, text: str) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 70, text)
    forwards: list[int] = []
    backwards: list[int] = []
    more = True
    while more:
        found, more = await seqs(bob, after=forwards[-1] if forwards else 0, limit=200)
        assert 0 < len(found) < 70
        forwards += found
    more, bound = True, dict[str, int]()
    while more:
        found, more = await seqs(bob, **bound, limit=200)
        backwards = found + backwards
        bound = {"before": backwards[0]}
    assert forwards == backwards == numbers(1, 70)


@pytest.mark.parametrize("dialect", ["json", "text"])
async def test_no_page_is_larger_than_a_frame(world: World, dialect: str) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 70, "\x01" * 16_384)
    asked = {"json": '{"command":"inbox","user":"alice","limit":200}', "text": "inbox alice 99 200"}
    seat = Seat(world, "192.0.2.1")
    for frame in (f"resume {bob.token}", asked[dialect]):
        seat.send(frame)
        page = await seat.frame()
    assert 256 * 1024 < len(page.encode()) < 2**20


# Markers


async def test_read_never_goes_back_nor_beyond_the_last_message(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 5)
    for asked, stands in [(3, 3), (1, 3), (0, 3), (99, 5), (2**53 - 1, 5), (4, 5)]:
        reply = await bob.ask("read", conversation="alice", seq=asked)
        assert (reply["conversation"], reply["read_seq"]) == ("alice", stands)
    await write(alice, "bob", 1)
    (chat,) = (await bob.ask("listpc"))["conversations"]
    assert (chat["read_seq"], chat["unread"]) == (5, 1)
    for wrong in (-1, 2**53, 1.0, "1", True, None):
        assert await bob.refused("read", conversation="alice", seq=wrong) == "bad_arguments"


async def test_received_never_goes_back_and_reading_is_receiving(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 5)
    for asked, stands in [(3, 3), (1, 3)]:
        reply = await bob.ask("received", conversation="alice", seq=asked)
        assert (reply["conversation"], reply["received_seq"]) == ("alice", stands)
    await bob.ask("read", conversation="alice", seq=4)
    assert (await bob.ask("received", conversation="alice", seq=0))["received_seq"] == 4
    assert (await bob.ask("received", conversation="alice", seq=99))["received_seq"] == 5
    (chat,) = (await bob.ask("listpc"))["conversations"]
    assert (chat["read_seq"], chat["unread"]) == (4, 1)


async def test_markers_of_nothing_said_yet_stay_at_0(world: World) -> None:
    alice, bob = await world.log_in("alice", "Bob")
    assert (await alice.ask("read", conversation="bob", seq=5))["read_seq"] == 0
    reply = await alice.ask("received", conversation="bob", seq=5)
    assert (reply["conversation"], reply["received_seq"]) == ("Bob", 0)
    assert await alice.refused("read", conversation="nobody", seq=1) == "unknown_user"
    assert await bob.pushes() == []


async def test_unread_never_counts_one_s_own_messages(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 2)
    await write(bob, "alice", 3)
    await write(alice, "bob", 1)
    (his,) = (await bob.ask("listpc"))["conversations"]
    (hers,) = (await alice.ask("listpc"))["conversations"]
    assert (his["unread"], hers["unread"]) == (3, 3)
    await bob.ask("read", conversation="alice", seq=2)
    assert (await world.connect().ask("resume", token=bob.token))["unread"] == {"alice": 1}
    await bob.ask("read", conversation="alice", seq=6)
    assert (await world.connect().ask("resume", token=bob.token))["unread"] == {}


async def test_history_marks_nothing_and_inbox_marks_what_it_shows(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await write(alice, "bob", 3)
    await bob.ask("history", conversation="alice")
    assert await alice.pushes() == []
    await bob.ask("inbox", user="alice")
    (receipt,) = await alice.pushes()
    assert (receipt["received_seq"], receipt["read_seq"]) == (3, 3)


# Receipts


def receipt(conversation: str, received: int, read: int) -> dict[str, Any]:
    return {
        "event": "receipt",
        "conversation": conversation,
        "user": "bob",
        "received_seq": received,
        "read_seq": read,
    }


async def test_private_receipts_go_to_the_other_person_and_one_s_other_sessions(
    world: World,
) -> None:
    people = await world.log_in("alice", "alice", "bob", "bob", "carol")
    alice, alice2, bob, bob2, carol = people
    await write(alice, "bob", 3)
    for person in people:
        await person.pushes()
    await bob.ask("received", conversation="alice", seq=3)
    await bob.ask("read", conversation="alice", seq=2)
    await bob.ask("read", conversation="alice", seq=1)
    await bob.ask("received", conversation="alice", seq=2)
    hers = [receipt("bob", 3, 0), receipt("bob", 3, 2)]
    assert await alice.pushes() == await alice2.pushes() == hers
    assert await bob2.pushes() == [receipt("alice", 3, 0), receipt("alice", 3, 2)]
    assert await bob.pushes() == await carol.pushes() == []


async def test_group_receipts_go_to_one_s_other_sessions_only(world: World) -> None:
    alice, bob, bob2 = await world.log_in("alice", "bob", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    await write(alice, group, 3)
    await bob2.pushes(), await bob.pushes()
    await bob.ask("received", conversation=group, seq=2)
    await bob.ask("inboxgroup", group=group)
    await bob.ask("inboxgroup", group=group)
    assert await bob2.pushes() == [receipt(group, 2, 0), receipt(group, 3, 3)]
    assert await alice.pushes() == await bob.pushes() == []


async def test_a_receipt_of_one_s_own_notes_comes_once(world: World) -> None:
    bob, bob2 = await world.log_in("bob", "bob")
    await write(bob, "bob", 1)
    await bob2.pushes()
    await bob.ask("read", conversation="bob", seq=1)
    assert await bob2.pushes() == [receipt("bob", 1, 1)]
