"""Rules of accounts that are disabled: the sender learns it, and everybody else goes on."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.handlers.test_files import begin, encoded, push_rest, some
from tests.world import Person, World
from ws_server.admin import users as admin


async def disable(world: World, name: str) -> None:
    await admin.disable(world.realm, {"name": name}, lambda line: None)


async def enable(world: World, name: str) -> None:
    await admin.enable(world.realm, {"name": name}, lambda line: None)


def commands(to: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every command that sends to a person."""
    whole = some(10)
    file = {"to": to, "name": "a"}
    return [
        ("send", {"to": to, "text": "hi"}),
        ("sendfile", {**file, "data": encoded(whole)}),
        ("upload", {**file, "size": 10, "sha256": "0" * 64}),
    ]


@pytest.mark.parametrize("talked", [False, True], ids=["never talked", "talked"])
async def test_what_is_sent_to_a_disabled_account_is_refused_and_says_why(
    world: World, talked: bool
) -> None:
    """Answering OK would promise that somebody reads it."""
    alice, bob = await world.log_in("alice", "bob")
    if talked:
        await alice.ask("send", to="bob", text="before")  # the conversation is cached now
    await disable(world, "bob")
    assert bob.closed == 4501
    for spelling in ("bob", "BOB", "bob@alpha"):
        for command, arguments in commands(spelling):
            reply = await alice.say(orjson.dumps({"command": command, **arguments}))
            assert (reply["code"], "bob is disabled" in reply["message"]) == ("forbidden", True)
    history = await alice.ask("history", conversation="bob")
    assert [message["text"] for message in history["messages"]] == ["before"] * talked
    await alice.ask("inbox", user="bob")


async def test_sends_under_way_together_are_judged_one_by_one(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    for to in ("bob", "carol"):
        await alice.ask("send", to=to, text="before")
    await disable(world, "bob")
    for to in ("carol", "bob", "carol", "alice", "bob"):
        alice.send(orjson.dumps({"command": "send", "to": to, "text": "hi"}))
    replies = [await alice.reply() for _ in range(5)]
    assert [reply.get("code") for reply in replies] == [
        *(None, "forbidden", None),
        *(None, "forbidden"),
    ]
    assert [push["text"] for push in await carol.pushes()] == ["before", "hi", "hi"]


async def test_an_enabled_account_is_written_to_again(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    await alice.ask("send", to="bob", text="one")
    await disable(world, "bob")
    assert await alice.refused("send", to="bob", text="lost") == "forbidden"
    await enable(world, "bob")
    assert (await alice.ask("send", to="bob", text="two"))["seq"] == 2
    (bob,) = await world.log_in("bob")
    assert [m["text"] for m in (await bob.ask("inbox", user="alice"))["messages"]] == ["one", "two"]


async def test_what_was_sent_before_is_answered_as_before_under_its_key(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    first: list[dict[str, Any]] = []
    whole = some(1_000)

    async def all_of_them() -> list[dict[str, Any]]:
        return [
            await alice.ask("send", to="bob", text="hi", idempotency_key="1"),
            await alice.ask("sendfile", to="bob", name="a", data="aGk=", idempotency_key="2"),
            await push_rest(alice, await begin(alice, whole, idempotency_key="3"), whole),
        ]

    first = await all_of_them()
    await disable(world, "bob")
    again = await all_of_them()
    assert [reply["message_id"] for reply in again] == [reply["message_id"] for reply in first]
    assert [reply["duplicate"] for reply in again] == [True] * 3


async def test_an_upload_to_somebody_disabled_meanwhile_becomes_no_message(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole)
    await disable(world, "bob")
    rest = {"upload": opened["upload"], "offset": 0, "data": encoded(whole)}
    assert await alice.refused("chunk", **rest) == "forbidden"
    await enable(world, "bob")
    assert (await push_rest(alice, await begin(alice, whole), whole))["seq"] == 1


async def test_a_group_with_a_disabled_member_goes_on_for_the_others(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = (await alice.ask("creategroup", name="team"))["group"]
    for name in ("bob", "carol"):
        await alice.ask("invitegroup", group=group, user=name)
    await alice.ask("sendg", group=group, text="one")
    await carol.pushes()
    await disable(world, "bob")
    await alice.ask("sendg", group=group, text="two")
    await alice.ask("sendgroupfile", group=group, name="a", data="aGk=")
    assert len([push for push in await carol.pushes() if push["event"] == "message"]) == 2
    # Inviting somebody again changes nothing, and so there is nothing to refuse.
    await alice.ask("invitegroup", group=group, user="bob")
    await alice.ask("kick", group=group, user="bob")
    assert await alice.refused("invitegroup", group=group, user="bob") == "forbidden"


async def test_reading_and_its_receipts_go_on_in_a_chat_with_a_disabled_account(
    world: World,
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("send", to="alice", text="hi")
    await disable(world, "bob")
    assert (await alice.ask("received", conversation="bob", seq=1))["received_seq"] == 1
    assert (await alice.ask("read", conversation="bob", seq=1))["read_seq"] == 1
    (chat,) = (await alice.ask("listpc"))["conversations"]
    assert (chat["conversation"], chat["unread"]) == ("bob", 0)
    assert len((await alice.ask("sync", have={}))["messages"]) == 1


async def test_notes_of_oneself_are_for_oneself(world: World) -> None:
    (alice,) = await world.log_in("alice")
    await disable(world, "alice")
    await enable(world, "alice")
    again: list[Person] = await world.log_in("alice")
    assert (await again[0].ask("send", to="alice", text="a note"))["seq"] == 1
