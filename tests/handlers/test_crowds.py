"""What grew with the number of one's conversations, or of the members of a group."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, insert

from tests.world import PASSWORD, Person, World
from ws_server.store.schema import conversations, members, messages
from ws_server.store.schema import users as user_table

pytestmark = pytest.mark.slow

MANY = 8_000
"""Conversations of one person; sync answered 250 bytes for each."""
CROWD = 4_000
ROUNDS = 15
FACTOR = 4.0


def add_people(tx: Connection, first: int, count: int) -> None:
    """Add accounts with the longest names; nobody signs in as one of them."""
    rows = [
        {
            "id": id,
            "name": f"{id:X>32}",
            "key": f"{id:x>32}",
            "real_name": "x",
            "country": "x",
            "password": "",
            "admin": False,
            "created": 0,
        }
        for id in range(first, first + count)
    ]
    tx.execute(insert(user_table), rows)


def add_conversations(tx: Connection, kind: str, me: int, name: str) -> None:
    """Let MANY people write to `me` once, each in a chat or a group."""
    first = 1_000
    add_people(tx, first, MANY)
    others = range(first, first + MANY)
    place = {"last_seq": 1, "version": 1, "created": 0}
    made: list[dict[str, Any]]
    if kind == "groups":
        made = [{"id": o, "number": o, "name": name, "activity": o, **place} for o in others]
    else:
        made = [{"id": o, "low_user": me, "high_user": o, "activity": o, **place} for o in others]
    tx.execute(insert(conversations), made)
    markers = {"joined_seq": 0, "read_seq": 0, "received_seq": 0}
    for place_, person in enumerate(("other", "me")):
        rows = [
            {
                "conversation_id": o,
                "user_id": me if person == "me" else o,
                "owner": place_ == 0,
                "place": place_,
                **markers,
            }
            for o in others
        ]
        tx.execute(insert(members), rows)
    written = [
        {
            "conversation_id": o,
            "seq": 1,
            "id": f"m_{o}",
            "sender_id": o,
            "time": o,
            "text": "x",
        }
        for o in others
    ]
    tx.execute(insert(messages), written)


@pytest.mark.parametrize("kind", ["groups", "chats"])
async def test_signing_in_and_sync_with_many_conversations_went_over_1_mib(
    world: World, kind: str
) -> None:
    (bob,) = await world.log_in("bob")
    assert bob.session.account is not None
    me = bob.session.account.id
    # Quotes take two bytes each in JSON.
    await world.realm.journal.write(lambda tx, now: add_conversations(tx, kind, me, '"' * 128))

    async def said(person: Person, **body: Any) -> dict[str, Any]:
        reply = await person.say(orjson.dumps(body))
        assert reply["status"] == "OK", reply
        assert len(orjson.dumps(reply)) < 2**20
        return dict(reply)

    unread = (await said(bob, command="auth", user="bob", password=PASSWORD))["unread"]
    assert 1_000 < len(unread) <= MANY and set(unread.values()) == {1}
    again = world.connect()
    assert (await said(again, command="resume", token=bob.token))["unread"] == unread
    # All that was missed is told in the end, whatever fits one answer.
    have: dict[str, int] = {}
    more = True
    while more and len(have) < 2_000:
        page = await said(bob, command="sync", have=have)
        assert page["recovered"] is True and page["conversations"]
        assert page["messages"]
        have |= {message["conversation"]: message["seq"] for message in page["messages"]}
        more = page["more"]
    assert len(have) >= 2_000


async def crowd(world: World, owner: Person, first: int, count: int) -> str:
    """Return a group of `owner`, bob and that many others, in which something was written."""
    group = str((await owner.ask("creategroup", name="crowd"))["group"])
    await owner.ask("invitegroup", group=group, user="bob")

    def fill(tx: Connection, now: int) -> None:
        add_people(tx, first, count)
        id = tx.exec_driver_sql(
            "SELECT id FROM conversations WHERE number = ?", (int(group[1:]),)
        ).scalar_one()
        rows = [
            {
                "conversation_id": id,
                "user_id": person,
                "owner": False,
                "place": person,
                "joined_seq": 0,
                "read_seq": 0,
                "received_seq": 0,
            }
            for person in range(first, first + count)
        ]
        tx.execute(insert(members), rows)
        tx.exec_driver_sql("UPDATE conversations SET version = version + 1 WHERE id = ?", (id,))

    await world.realm.journal.write(fill)
    for _ in range(ROUNDS + 1):
        await owner.ask("sendg", group=group, text="x")
    return group


@pytest.mark.parametrize("command", ["received", "read", "inboxgroup"])
async def test_one_member_of_a_large_group_made_the_server_load_them_all(
    world: World, command: str
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    groups = [await crowd(world, alice, 1_000, 1), await crowd(world, alice, 2_000, CROWD)]
    assert (await bob.ask("listgroup"))["groups"][0]["members"] == CROWD + 2
    costs: list[list[float]] = [[], []]
    for seq in range(1, ROUNDS + 1):
        for group, seconds in zip(groups, costs, strict=True):
            asked = {"group": group} if command == "inboxgroup" else {"conversation": group}
            if command != "inboxgroup":
                asked["seq"] = seq  # type: ignore[assignment]
            # Of this process alone, however busy the machine is.
            began = time.process_time()
            await bob.ask(command, **asked)
            seconds.append(time.process_time() - began)
    small, large = (min(seconds) for seconds in costs)
    assert large < small * FACTOR, (small, large)
