"""Rules of every sent message: keys, order, durability; sections 1, 5 and 6 of the contract."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from typing import Any

import orjson
import pytest

from tests.world import Person, World

RESULT = ["conversation", "seq", "message_id", "time", "state"]


def result(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the result fields of a sent message, without `duplicate`."""
    return {name: reply[name] for name in [*RESULT, "file"] if name in reply}


def send(person: Person, command: str, **arguments: Any) -> None:
    """Send a command without waiting for its reply."""
    person.send(orjson.dumps({"command": command, **arguments}))


# Idempotency keys


async def test_a_repeated_key_returns_the_first_result_and_sends_nothing(world: World) -> None:
    alice, other, bob = await world.log_in("alice", "alice", "bob")
    first = await alice.ask("send", to="bob", text="hi", idempotency_key="k")
    again = await alice.ask("send", to="bob", text="hi", idempotency_key="k")
    elsewhere = await other.ask("send", to="bob", text="hi", idempotency_key="k")
    assert "duplicate" not in first
    assert again["duplicate"] is elsewhere["duplicate"] is True
    assert result(again) == result(elsewhere) == result(first)
    assert [push["id"] for push in await bob.pushes()] == [first["message_id"]]
    assert [push["id"] for push in await other.pushes()] == [first["message_id"]]
    assert len((await bob.ask("history", conversation="alice"))["messages"]) == 1


async def test_a_key_is_kept_over_a_restart(world: World, tmp_path: Any) -> None:
    alice, _ = await world.log_in("alice", "bob")
    first = await alice.ask("send", to="bob", text="hi", idempotency_key="k")
    await world.__aexit__()
    async with World(tmp_path) as later:
        (alice,) = await later.log_in("alice")
        again = await alice.ask("send", to="bob", text="hi", idempotency_key="k")
    assert (result(again), again["duplicate"]) == (result(first), True)
    await world.__aenter__()


async def test_a_key_repeated_in_one_batch_is_sent_once(world: World) -> None:
    alice, other, bob = await world.log_in("alice", "alice", "bob")
    for person in [alice, other] * 10:
        send(person, "send", to="bob", text="hi", idempotency_key="k")
    replies = [await person.reply() for person in [alice, other] * 10]
    assert {reply["message_id"] for reply in replies} == {replies[0]["message_id"]}
    assert sum("duplicate" not in reply for reply in replies) == 1
    assert len(await bob.pushes()) == 1


async def test_keys_are_each_user_s_own(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    send(alice, "send", to="bob", text="hi", idempotency_key="k")
    send(bob, "send", to="alice", text="hello", idempotency_key="k")
    replies = [await alice.reply(), await bob.reply()]
    assert sorted(reply["seq"] for reply in replies) == [1, 2]
    assert not any("duplicate" in reply for reply in replies)


async def test_a_key_used_in_another_command_is_the_same_key(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    first = await alice.ask("send", to="bob", text="hi", idempotency_key="k")
    again = await alice.ask("sendg", group=group, text="hi", idempotency_key="k")
    assert (result(again), again["duplicate"]) == (result(first), True)
    assert (await alice.ask("inboxgroup", group=group))["messages"] == []


async def test_a_key_returns_its_result_after_leaving_the_group(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    first = await bob.ask("sendg", group=group, text="hi", idempotency_key="k")
    await bob.ask("leavegroup", group=group)
    await alice.pushes()
    again = await bob.ask("sendg", group=group, text="hi", idempotency_key="k")
    assert (result(again), again["duplicate"]) == (result(first), True)
    assert await bob.refused("sendg", group=group, text="hi") == "unknown_group"
    assert await alice.pushes() == []


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_refused_message_leaves_its_key_free(world: World, waiting: bool) -> None:
    alice, bob = await world.log_in("alice", "bob")
    send(alice, "send", to="nobody", text="hi", idempotency_key="k")
    if waiting:
        assert (await alice.reply())["code"] == "unknown_user"
    send(alice, "send", to="bob", text="hi", idempotency_key="k")
    if not waiting:
        assert (await alice.reply())["code"] == "unknown_user"
    sent = await alice.reply()
    assert sent["status"] == "OK" and "duplicate" not in sent
    assert len(await bob.pushes()) == 1


async def test_a_key_holds_for_files(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("files", mode="offer")
    file = {"to": "bob", "name": "a.txt", "data": "aGk=", "idempotency_key": "k"}
    for _ in range(3):
        send(alice, "sendfile", **file)
    first, *repeats = [await alice.reply() for _ in range(3)]
    assert "duplicate" not in first
    for again in repeats:
        assert (result(again), again["duplicate"]) == (result(first), True)
    assert len(await bob.pushes()) == 1


async def upload(person: Person, content: bytes, **arguments: Any) -> tuple[str, dict[str, Any]]:
    opened = await person.ask(
        "upload",
        **{"to": "bob", "name": "a.txt", **arguments},
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    data = base64.b64encode(content[opened["offset"] :]).decode()
    chunk = {"upload": opened["upload"], "offset": opened["offset"], "data": data}
    return opened["upload"], await person.ask("chunk", **chunk)


async def test_a_key_holds_for_uploads(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("files", mode="offer")
    _, first = await upload(alice, b"hello", idempotency_key="k")
    _, again = await upload(alice, b"hello", idempotency_key="k")
    assert (result(again), again["duplicate"]) == (result(first), True)
    assert len(await bob.pushes()) == 1


async def test_an_upload_that_repeats_a_key_has_ended(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    await upload(alice, b"hello", idempotency_key="k")
    name, _ = await upload(alice, b"hello", idempotency_key="k")
    assert await alice.refused("chunk", upload=name, offset=0, data="aA==") == "unknown_file"


# Order


async def test_pipelined_commands_are_answered_in_order_with_their_labels(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    frames: list[dict[str, Any]] = []
    for _ in range(30):
        frames += [
            {"command": "send", "to": "bob", "text": "hi"},
            {"command": "send", "to": "nobody", "text": "hi"},
            {"command": "history", "conversation": "bob", "limit": 1},
            {"command": "nonsense"},
            {"command": "ping"},
            {"command": "creategroup", "name": "team"},
            {"command": "send", "to": "bob"},
            {"command": "read", "conversation": "bob", "seq": 1},
            {"command": "listpc"},
        ]
    for number, frame in enumerate(frames):
        alice.send(orjson.dumps({"id": str(number), **frame}))
    replies = [await alice.reply() for _ in frames]
    assert [reply["id"] for reply in replies] == [str(number) for number in range(len(frames))]
    assert [reply["seq"] for reply in replies[0::9]] == list(range(1, 31))


async def test_thousands_sent_in_one_breath_keep_their_order(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for number in range(2_000):
        send(alice, "send", to="bob", text=str(number))
        if number % 100 == 0:
            send(alice, "listpc")
    for number in range(2_000):
        assert (await alice.reply())["seq"] == number + 1
        if number % 100 == 0:
            assert (await alice.reply())["conversations"][0]["last_seq"] == number + 1
    texts = [push["text"] for push in await bob.pushes()]
    assert texts == [str(number) for number in range(2_000)]


async def test_reads_see_what_earlier_commands_of_the_connection_wrote(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    for number in range(1, 21):
        send(alice, "send", to="bob", text=str(number))
        send(alice, "history", conversation="bob", limit=1)
        send(alice, "listpc")
    for number in range(1, 21):
        assert (await alice.reply())["seq"] == number
        assert (await alice.reply())["messages"][-1]["text"] == str(number)
        assert (await alice.reply())["conversations"][0]["last_seq"] == number


async def test_a_conversation_has_one_order_for_everybody(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = (await alice.ask("creategroup", name="team"))["group"]
    for name in ("bob", "carol"):
        await alice.ask("invitegroup", group=group, user=name)
    people = [alice, bob, carol]
    for person in people:
        await person.pushes()
    for number in range(50):
        for person in people:
            send(person, "sendg", group=group, text=str(number))
    sent = [[(await person.reply())["seq"] for _ in range(50)] for person in people]
    assert sorted(sum(sent, [])) == list(range(1, 151))
    for person, own in zip(people, sent, strict=True):
        assert own == sorted(own)
        heard = [push["seq"] for push in await person.pushes()]
        assert heard == sorted(set(range(1, 151)) - set(own))


# Durability


@pytest.mark.slow
async def test_a_failed_commit_neither_answers_ok_nor_pushes(world: World, tmp_path: Any) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await alice.ask("send", to="bob", text="before")
    await bob.pushes()
    lock = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
    try:
        # Another process holds the database for longer than the server waits.
        lock.execute("BEGIN IMMEDIATE")
        send(alice, "send", to="bob", text="lost", idempotency_key="k")
        send(alice, "creategroup", name="lost")
        send(alice, "read", conversation="bob", seq=1)
        send(alice, "sendfile", to="bob", name="a.txt", data="aGk=")
        send(alice, "history", conversation="bob")
        for _ in range(4):
            reply = await alice.reply()
            assert (reply["status"], reply["code"]) == ("ERROR", "unavailable"), reply
            assert reply["temporary"] is True
        # Reading goes on, and shows nothing of it.
        assert [m["text"] for m in (await alice.reply())["messages"]] == ["before"]
    finally:
        lock.close()
    assert await bob.pushes() == []
    assert (await alice.ask("listgroup"))["groups"] == []
    # What was not done can be done again, and leaves no gap.
    sent = await alice.ask("send", to="bob", text="after", idempotency_key="k")
    assert (sent["seq"], "duplicate" in sent) == (2, False)
    assert [push["seq"] for push in await bob.pushes()] == [2]


async def test_what_was_answered_is_there_after_a_restart(world: World, tmp_path: Any) -> None:
    alice, _ = await world.log_in("alice", "bob")
    sent = [await alice.ask("send", to="bob", text=str(number)) for number in range(5)]
    await world.__aexit__()
    async with World(tmp_path) as later:
        (bob,) = await later.log_in("bob")
        found = (await bob.ask("history", conversation="alice"))["messages"]
        assert [m["id"] for m in found] == [reply["message_id"] for reply in sent]
        assert [m["time"] for m in found] == [reply["time"] for reply in sent]
        assert (await bob.ask("send", to="alice", text="on"))["seq"] == 6
    await world.__aenter__()


async def test_ids_are_unique_over_conversations_and_senders(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    sent = [
        await person.ask("send", to=to, text="hi")
        for person, to in [(alice, "bob"), (bob, "alice"), (alice, "alice"), (bob, "bob")] * 5
    ]
    assert len({reply["message_id"] for reply in sent}) == len(sent)
