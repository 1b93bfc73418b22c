"""Rules of groups; section 6 (Groups) of the contract."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.protocol.values import GroupAddress
from tests.world import Person, World


async def team(owner: Person, *members: Person) -> str:
    """Create a group called team and return its address; the members have no news of it left."""
    group = str((await owner.ask("creategroup", name="team"))["group"])
    for person in members:
        assert person.session.account is not None
        await owner.ask("invitegroup", group=group, user=person.session.account.name)
    for person in members:
        await person.pushes()
    return group


def changes(pushes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    assert all(push["event"] == "group" and push["name"] == "team" for push in pushes)
    return [(push["user"], push["change"]) for push in pushes]


async def roles(person: Person, group: str) -> list[tuple[str, str]]:
    found = (await person.ask("members", group=group))["members"]
    return [(member["user"], member["role"]) for member in found]


async def test_names_may_repeat_and_ids_do_not(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    groups = [await person.ask("creategroup", name="team") for person in (alice, bob) * 3]
    assert len({group["group"] for group in groups}) == 6
    assert {group["name"] for group in groups} == {"team"}


async def test_an_id_is_not_given_again_after_everybody_left(world: World) -> None:
    (alice,) = await world.log_in("alice")
    first = await team(alice)
    await alice.ask("leavegroup", group=first)
    assert await alice.refused("members", group=first) == "unknown_group"
    assert (await alice.ask("creategroup", name="team"))["group"] != first


async def test_a_name_is_one_line_of_1_to_128_characters(world: World) -> None:
    (alice,) = await world.log_in("alice")
    for name in ("", " ", "a\nb", "a\x1bb", "x" * 129):
        assert await alice.refused("creategroup", name=name) == "bad_arguments"
    for name in ("x", "é" * 128, "the team #1"):
        assert (await alice.ask("creategroup", name=name))["name"] == name


async def test_every_spelling_of_a_group_is_accepted(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await team(alice)
    number = group.removeprefix("#")
    spellings: list[object] = [group, number, int(number), f"{group}@alpha", f"{number}@ALPHA"]
    for seq, spelling in enumerate(spellings, 1):
        sent = await alice.ask("sendg", group=spelling, text="hi")
        assert (sent["conversation"], sent["seq"]) == (group, seq)


async def test_the_members_hear_of_changes_but_not_who_made_them(world: World) -> None:
    alice, alice2, bob, carol, carol2, dave = await world.log_in(
        "alice", "alice", "bob", "carol", "carol", "dave"
    )
    everybody = [alice, alice2, bob, carol, carol2, dave]

    async def heard() -> list[list[tuple[str, str]]]:
        return [changes(await person.pushes()) for person in everybody]

    group = (await alice.ask("creategroup", name="team"))["group"]
    assert await heard() == [[], [("alice", "joined")], [], [], [], []]
    await alice.ask("invitegroup", group=group, user="bob")
    assert await heard() == [[], [("bob", "joined")], [("bob", "joined")], [], [], []]
    await bob.ask("invitegroup", group=group, user="carol")
    joined = [("carol", "joined")]
    assert await heard() == [joined, joined, [], joined, joined, []]
    await bob.ask("invitegroup", group=group, user="CAROL")
    assert await heard() == [[], [], [], [], [], []]
    await alice.ask("kick", group=group, user="carol")
    removed = [("carol", "removed")]
    assert await heard() == [[], removed, removed, removed, removed, []]
    await alice.ask("leavegroup", group=group)
    left = [("alice", "left")]
    assert await heard() == [[], left, left, [], [], []]


async def test_a_message_goes_to_all_sessions_of_the_members_but_the_sending_one(
    world: World,
) -> None:
    alice, alice2, bob, bob2, carol = await world.log_in("alice", "alice", "bob", "bob", "carol")
    group = await team(alice, bob)
    await alice2.pushes(), await bob2.pushes()
    sent = await alice.ask("sendg", group=group, text="hi")
    message = {"event": "message", "id": sent["message_id"], "conversation": group, "seq": 1}
    message |= {"from": "alice", "time": sent["time"], "text": "hi"}
    assert await bob.pushes() == await bob2.pushes() == [message]
    assert await alice2.pushes() == [{**message, "state": "stored"}]
    assert await alice.pushes() == await carol.pushes() == []


async def test_only_the_owner_removes_and_nobody_himself(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = await team(alice, bob, carol)
    assert await bob.refused("kick", group=group, user="carol") == "forbidden"
    assert await bob.refused("kick", group=group, user="alice") == "forbidden"
    assert await alice.refused("kick", group=group, user="alice") == "forbidden"
    assert await alice.refused("kick", group=group, user="nobody") == "unknown_user"
    assert len(await roles(carol, group)) == 3


async def test_an_owner_who_leaves_hands_the_group_to_the_oldest_member(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = await team(alice, carol, bob)
    await alice.ask("leavegroup", group=group)
    assert await roles(bob, group) == [("carol", "owner"), ("bob", "member")]
    await carol.ask("invitegroup", group=group, user="alice")
    await carol.ask("leavegroup", group=group)
    assert await roles(alice, group) == [("bob", "owner"), ("alice", "member")]
    await bob.ask("kick", group=group, user="alice")
    assert await roles(bob, group) == [("bob", "owner")]


async def test_a_member_who_leaves_changes_no_roles(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = await team(alice, bob, carol)
    await bob.ask("leavegroup", group=group)
    assert await roles(alice, group) == [("alice", "owner"), ("carol", "member")]


async def test_nothing_of_a_group_is_for_those_who_are_not_in_it(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = await team(alice, bob)
    await alice.ask("sendg", group=group, text="hi")
    await bob.ask("leavegroup", group=group)
    for stranger in (bob, carol):
        asked: list[tuple[str, dict[str, Any]]] = [
            ("sendg", {"group": group, "text": "hi"}),
            ("sendgroupfile", {"group": group, "name": "a", "data": "aGk="}),
            ("invitegroup", {"group": group, "user": "carol"}),
            ("kick", {"group": group, "user": "alice"}),
            ("members", {"group": group}),
            ("inboxgroup", {"group": group}),
            ("leavegroup", {"group": group}),
            ("history", {"conversation": group}),
            ("read", {"conversation": group, "seq": 1}),
            ("received", {"conversation": group, "seq": 1}),
            ("upload", {"to": group, "name": "a", "size": 1, "sha256": "0" * 64}),
        ]
        for command, more in asked:
            assert await stranger.refused(command, **more) == "unknown_group", command
        assert (await stranger.ask("listgroup"))["groups"] == []


async def test_changes_of_membership_hold_for_the_very_next_message(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await team(alice)
    frames: list[dict[str, Any]] = []
    for number in range(20):
        change = "kick" if number % 2 else "invitegroup"
        frames.append({"command": change, "group": group, "user": "bob"})
        frames.append({"command": "sendg", "group": group, "text": str(number)})
    for frame in frames:
        alice.send(orjson.dumps(frame))
    assert all([(await alice.reply())["status"] == "OK" for _ in frames])
    seen = [push.get("text") or push["change"] for push in await bob.pushes()]
    expected = [[["joined", str(n)], ["removed"]][n % 2] for n in range(20)]
    assert seen == sum(expected, [])


async def test_two_invitations_at_once_make_one_member(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = await team(alice, bob)
    frame = orjson.dumps({"command": "invitegroup", "group": group, "user": "carol"})
    for person in [alice, bob] * 3:
        person.send(frame)
    assert all([(await person.reply())["status"] == "OK" for person in [alice, bob] * 3])
    assert changes(await carol.pushes()) == [("carol", "joined")]
    assert len(await roles(alice, group)) == 3


async def test_a_newcomer_sees_all_history_and_counts_from_joining(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await team(alice)
    for number in range(3):
        await alice.ask("sendg", group=group, text=str(number))
    await alice.ask("invitegroup", group=group, user="bob")
    (chat,) = (await bob.ask("listgroup"))["groups"]
    assert (chat["last_seq"], chat["read_seq"], chat["unread"]) == (3, 3, 0)
    await alice.ask("sendg", group=group, text="3")
    assert (await world.connect().ask("resume", token=bob.token))["unread"] == {group: 1}
    page = await bob.ask("history", conversation=group)
    assert [message["text"] for message in page["messages"]] == ["0", "1", "2", "3"]


async def test_who_comes_back_counts_from_coming_back(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await team(alice, bob)
    await alice.ask("sendg", group=group, text="0")
    await bob.ask("leavegroup", group=group)
    assert (await world.connect().ask("resume", token=bob.token))["unread"] == {}
    await alice.ask("sendg", group=group, text="1")
    await alice.ask("invitegroup", group=group, user="bob")
    await alice.ask("sendg", group=group, text="2")
    assert (await world.connect().ask("resume", token=bob.token))["unread"] == {group: 1}


async def test_membership_changes_take_no_seq(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await team(alice)
    for seq in range(1, 4):
        await alice.ask("invitegroup", group=group, user="bob")
        assert (await alice.ask("sendg", group=group, text="hi"))["seq"] == seq
        await bob.ask("leavegroup", group=group)


async def test_listgroup_is_newest_first(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    groups = [await team(alice, bob) for _ in range(3)]
    await bob.ask("send", to="alice", text="no group")
    assert [g["group"] for g in (await alice.ask("listgroup"))["groups"]] == groups[::-1]
    sent = await bob.ask("sendg", group=groups[0], text="é" * 300)
    first, *_ = (await alice.ask("listgroup"))["groups"]
    assert (first["group"], first["role"], first["members"]) == (groups[0], "owner", 2)
    assert (first["last"]["id"], len(first["last"]["text"])) == (sent["message_id"], 256)
    (mine, *_) = (await bob.ask("listgroup"))["groups"]
    assert (mine["role"], mine["unread"], mine["last"]["state"]) == ("member", 0, "stored")


async def test_members_tells_how_far_each_has_read(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await team(alice, bob)
    for _ in range(3):
        await alice.ask("sendg", group=group, text="hi")
    await bob.ask("read", conversation=group, seq=2)
    found = (await alice.ask("members", group=group))["members"]
    assert {member["user"]: member["read_seq"] for member in found}["bob"] == 2


@pytest.mark.parametrize("change", ["nothing", "restart", "invitation"])
async def test_a_group_written_to_is_kept_in_memory(
    world: World, tmp_path: Path, change: str
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = GroupAddress.parse(await team(alice, bob))
    await alice.ask("sendg", group=str(group), text="hi")
    async with AsyncExitStack() as stack:
        if change == "restart":
            await world.__aexit__()
            stack.push_async_callback(world.__aenter__)
            world = await stack.enter_async_context(World(tmp_path))
            (alice,) = await world.log_in("alice")
        elif change == "invitation":
            await world.add_users("carol")
            frame = {"command": "invitegroup", "group": str(group), "user": "carol"}
            alice.send(orjson.dumps(frame))
            alice.send(orjson.dumps({"command": "sendg", "group": str(group), "text": "hi"}))
            await alice.reply(), await alice.reply()
        sent = await alice.ask("sendg", group=str(group), text="hi")
        assert alice.session.account is not None
        kept = world.realm.cache.get(alice.session.account.id, group)
        # Else every message to it costs a look at all its members, or is written twice.
        assert kept is not None and kept.last_seq == sent["seq"]
