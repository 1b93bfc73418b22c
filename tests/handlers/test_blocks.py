"""Rules of blocks: nothing private comes in from a person one blocks, and they learn no more."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.handlers.test_disabled import commands
from tests.handlers.test_files import begin, encoded, push_rest, some
from tests.world import Person, World


async def blocked(person: Person) -> list[str]:
    users: list[str] = (await person.ask("blocked"))["users"]
    return users


async def texts(person: Person, other: str) -> list[str]:
    return [m["text"] for m in (await person.ask("history", conversation=other))["messages"]]


@pytest.mark.parametrize("talked", [False, True], ids=["never talked", "talked"])
async def test_nothing_private_comes_from_somebody_who_is_blocked(
    world: World, talked: bool
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    if talked:
        await bob.ask("send", to="alice", text="before")  # the conversation is cached now
        await alice.pushes()
    await alice.ask("block", user="bob")
    for spelling in ("alice", "ALICE", "alice@alpha"):
        for command, arguments in commands(spelling):
            reply = await bob.say(orjson.dumps({"command": command, **arguments}))
            assert reply["code"] == "forbidden", command
            assert "block" not in reply["message"] and "disabled" not in reply["message"]
    assert await alice.pushes() == []
    assert await texts(alice, "bob") == ["before"] * talked
    assert len((await alice.ask("listpc"))["conversations"]) == talked


async def test_what_is_under_way_together_is_judged_one_by_one(world: World) -> None:
    """A batch of one commit holds messages before and behind the block, and for others."""
    alice, bob, _ = await world.log_in("alice", "bob", "carol")
    for to in ("alice", "carol"):
        await bob.ask("send", to=to, text="before")
    for round_ in range(5):
        bob.send(orjson.dumps({"command": "send", "to": "alice", "text": "early"}))
        alice.send(b'{"command":"block","user":"bob"}')
        for to in ("carol", "alice", "bob", "alice"):
            bob.send(orjson.dumps({"command": "send", "to": to, "text": "late"}))
        assert (await alice.reply())["status"] == "OK"
        replies = [(await bob.reply()).get("code") for _ in range(5)]
        assert replies[1::2] == [None, None] and replies[2::2] == ["forbidden"] * 2, round_
        await alice.ask("unblock", user="bob")
    assert "late" not in await texts(alice, "bob")


async def test_after_unblock_messages_come_again(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("send", to="alice", text="one")
    await alice.ask("block", user="bob")
    assert await bob.refused("send", to="alice", text="lost") == "forbidden"
    await alice.ask("unblock", user="bob")
    assert (await bob.ask("send", to="alice", text="two"))["seq"] == 2
    assert await texts(alice, "bob") == ["one", "two"]


async def test_a_block_outlives_a_restart_and_belongs_to_one_side(
    world: World, tmp_path: Any
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await alice.ask("block", user="bob")
    assert await blocked(bob) == []
    assert (await alice.ask("send", to="bob", text="hear me"))["seq"] == 1
    await bob.ask("block", user="alice")
    assert await alice.refused("send", to="bob", text="no") == "forbidden"
    await alice.ask("unblock", user="bob")
    assert await alice.refused("send", to="bob", text="no") == "forbidden"
    assert (await bob.ask("send", to="alice", text="yes"))["seq"] == 2


async def test_who_is_blocked_is_listed_by_name_and_all_sessions_agree(world: World) -> None:
    alice, phone, *_ = await world.log_in("alice", "alice", "bob", "carol")
    assert (await alice.ask("block", user="carol"))["users"] == ["carol"]
    assert (await alice.ask("block", user="BOB"))["users"] == ["bob", "carol"]
    assert (await phone.ask("block", user="bob@alpha"))["users"] == ["bob", "carol"]
    assert await blocked(phone) == ["bob", "carol"]
    events = await phone.pushes()
    assert [(e["event"], e["conversation"], e["blocked"]) for e in events] == [
        ("preference", "carol", True),
        ("preference", "bob", True),
    ]
    assert (await alice.ask("unblock", user="carol"))["users"] == ["bob"]
    assert (await alice.ask("unblock", user="carol"))["users"] == ["bob"]
    assert [e["blocked"] for e in await phone.pushes()] == [False]
    assert await blocked(alice) == ["bob"]


async def test_oneself_and_unknown_people_are_not_blocked(world: World) -> None:
    (alice,) = await world.log_in("alice")
    for command in ("block", "unblock"):
        assert await alice.refused(command, user="alice") == "forbidden"
        assert await alice.refused(command, user="nobody") == "unknown_user"
        assert await alice.refused(command, user="bob@nowhere") == "unknown_realm"
    assert await blocked(alice) == []
    assert (await alice.ask("send", to="alice", text="a note"))["seq"] == 1


async def test_blocks_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ws_server.store.accounts.blocks.MAX_BLOCKED", 2)
    alice, *_ = await world.log_in("alice", "bob", "carol", "dave")
    for name in ("bob", "carol", "bob"):
        await alice.ask("block", user=name)
    assert await alice.refused("block", user="dave") == "too_large"
    await alice.ask("unblock", user="bob")
    await alice.ask("block", user="dave")
    assert await blocked(alice) == ["carol", "dave"]


async def test_somebody_blocked_cannot_invite_but_shares_the_groups_there_are(
    world: World,
) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    shared = (await carol.ask("creategroup", name="shared"))["group"]
    for name in ("alice", "bob"):
        await carol.ask("invitegroup", group=shared, user=name)
    await alice.ask("block", user="bob")
    own = (await bob.ask("creategroup", name="of bob"))["group"]
    assert await bob.refused("invitegroup", group=own, user="alice") == "forbidden"
    await bob.ask("invitegroup", group=shared, user="alice")  # she is in it, so nothing changes
    await alice.pushes()
    assert (await bob.ask("sendg", group=shared, text="hi all"))["seq"] == 1
    assert [push["text"] for push in await alice.pushes()] == ["hi all"]
    await bob.ask("invitegroup", group=own, user="carol")
    await carol.ask("invitegroup", group=own, user="alice")


async def test_no_receipt_passes_between_two_of_whom_one_blocks_the_other(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("send", to="alice", text="one")
    await alice.ask("send", to="bob", text="two")
    await alice.ask("block", user="bob")
    await alice.pushes(), await bob.pushes()
    await bob.ask("read", conversation="alice", seq=2)
    await alice.ask("inbox", user="bob")
    assert await alice.pushes() == [] and await bob.pushes() == []
    await alice.ask("unblock", user="bob")
    await alice.ask("send", to="bob", text="three")
    await bob.ask("read", conversation="alice", seq=3)
    assert [push["event"] for push in await alice.pushes()] == ["receipt"]


async def test_an_upload_to_somebody_who_blocks_one_meanwhile_becomes_no_message(
    world: World,
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole)
    await bob.ask("block", user="alice")
    rest = {"upload": opened["upload"], "offset": 0, "data": encoded(whole)}
    assert await alice.refused("chunk", **rest) == "forbidden"
    assert await bob.pushes() == []


async def test_what_was_sent_before_is_answered_as_before_under_its_key(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    whole = some(1_000)

    async def all_of_them() -> list[dict[str, Any]]:
        return [
            await alice.ask("send", to="bob", text="hi", idempotency_key="1"),
            await alice.ask("sendfile", to="bob", name="a", data="aGk=", idempotency_key="2"),
            await push_rest(alice, await begin(alice, whole, idempotency_key="3"), whole),
        ]

    first = await all_of_them()
    await bob.ask("block", user="alice")
    again = await all_of_them()
    assert [reply["message_id"] for reply in again] == [reply["message_id"] for reply in first]
