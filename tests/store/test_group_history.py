"""Rules of `grouphistory joining`: no query shows new members messages from before they joined."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from shared.protocol.values import GroupAddress
from tests.world import Person, World
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.contents import content_fetches
from ws_server.store.federation import realms, roster_sync
from ws_server.store.groups import group_members

Talk = tuple[Person, Person, Person, str]


@pytest.fixture
async def talk(world: World) -> Talk:
    """Alice owns a group with messages of hers and of bob; carol is not in it."""
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = str((await alice.ask("creategroup", name="team"))["group"])
    await alice.ask("invitegroup", group=group, user="bob")
    for text in ("one", "two"):
        await alice.ask("sendg", group=group, text=text)
    await alice.ask("sendgroupfile", group=group, name="old.txt", data="aGk=")
    return alice, bob, carol, group


async def texts(person: Person, group: str, **page: Any) -> list[str]:
    """Return the messages that each kind of query shows a user; all must agree."""
    found = (await person.ask("history", conversation=group, **page))["messages"]
    if not page:
        assert (await person.ask("inboxgroup", group=group))["messages"] == found
        for have in ({}, {group: 0}, {group: 1}):
            synced = (await person.ask("sync", have=have))["messages"]
            older = have.get(group, 0)
            assert synced == [m for m in found if m["seq"] > older]
        last = (await listed(person, group)).get("last")
        assert last == (found[-1] if found else None)
    return [m["text"] or m["file"]["name"] for m in found]


async def listed(person: Person, group: str) -> dict[str, Any]:
    groups: list[dict[str, Any]] = (await person.ask("listgroup"))["groups"]
    return next(one for one in groups if one["group"] == group)


async def join(alice: Person, group: str, user: str) -> None:
    await alice.ask("invitegroup", group=group, user=user)


async def test_who_joins_reads_nothing_of_before(world: World, talk: Talk) -> None:
    alice, bob, carol, group = talk
    old = (await alice.ask("history", conversation=group))["messages"][-1]["file"]["id"]
    chosen = await alice.ask("grouphistory", group=group, history="joining")
    assert (chosen["group"], chosen["history"]) == (group, "joining")
    await join(alice, group, "carol")
    assert await texts(carol, group) == []
    for page in ({"after": 0}, {"before": 3}, {"after": 1, "limit": 1}):
        assert await texts(carol, group, **page) == []
    assert await carol.refused("getfile", file=old) == "unknown_file"
    shown = await listed(carol, group)
    assert (shown["unread"], shown["last_seq"], shown["history"]) == (0, 3, "joining")
    assert shown["last"] is None
    await carol.ask("read", conversation=group, seq=1)
    await alice.ask("sendg", group=group, text="four")
    sent = await bob.ask("sendgroupfile", group=group, name="new.txt", data="aGk=")
    # Last, because reading moves the read marker.
    (again,) = await world.log_in("carol")
    assert (await listed(again, group))["unread"] == 2
    assert await texts(carol, group) == ["four", "new.txt"]
    assert await texts(carol, group, before=5, limit=200) == ["four"]
    await carol.ask("getfile", file=sent["file"]["id"])
    for person in (alice, bob):
        assert await texts(person, group) == ["one", "two", "old.txt", "four", "new.txt"]
        await person.ask("getfile", file=old)


async def test_without_a_choice_who_joins_reads_everything(talk: Talk) -> None:
    alice, _, carol, group = talk
    await join(alice, group, "carol")
    assert await texts(carol, group) == ["one", "two", "old.txt"]
    assert "history" not in await listed(carol, group)


async def test_who_was_in_it_and_comes_back_reads_from_then_on(talk: Talk) -> None:
    alice, bob, carol, group = talk
    await join(alice, group, "carol")
    mine = (await bob.ask("sendgroupfile", group=group, name="bob.txt", data="aGk="))["file"]["id"]
    await alice.ask("grouphistory", group=group, history="joining")
    await alice.ask("kick", group=group, user="bob")
    await carol.ask("leavegroup", group=group)
    await alice.ask("sendg", group=group, text="between")
    for name in ("bob", "carol"):
        await join(alice, group, name)
    await alice.ask("sendg", group=group, text="again")
    assert await texts(bob, group) == await texts(carol, group) == ["again"]
    assert await carol.refused("getfile", file=mine) == "unknown_file"


async def test_a_choice_changes_nothing_for_those_who_are_in(talk: Talk) -> None:
    alice, bob, carol, group = talk
    await alice.ask("grouphistory", group=group, history="joining")
    await join(alice, group, "carol")
    await alice.ask("grouphistory", group=group, history="all")
    assert await texts(bob, group) == ["one", "two", "old.txt"]
    assert await texts(carol, group) == []
    await alice.ask("kick", group=group, user="carol")
    await join(alice, group, "carol")
    assert await texts(carol, group) == ["one", "two", "old.txt"]


async def test_only_the_owner_chooses_and_the_same_again_changes_nothing(
    world: World, talk: Talk
) -> None:
    alice, bob, carol, group = talk
    assert await bob.refused("grouphistory", group=group, history="joining") == "forbidden"
    assert await carol.refused("grouphistory", group=group, history="all") == "unknown_group"
    assert await alice.refused("grouphistory", group=group, history="none") == "bad_arguments"

    def version(tx: Connection) -> int:
        found = conversations.load(tx, group=GroupAddress.parse(group), only=())
        return found.version if found else 0

    before = await world.realm.database.read(version)
    for _ in range(2):
        await alice.ask("grouphistory", group=group, history="joining")
    assert await world.realm.database.read(version) == before + 1

    said = await alice.say(f"grouphistory {group} joining")
    assert said == f"OK Who joins {group} reads what is written from then on"
    assert "history from joining" in await alice.say("listgroup")
    said = await alice.say(f"grouphistory {group} all")
    assert said == f"OK Who joins {group} reads all its messages"
    assert "history from joining" not in await alice.say("listgroup")


async def test_another_realm_is_given_nothing_that_is_for_none_of_its_people(
    world: World, talk: Talk
) -> None:
    """Whatever the realm requests, and although it knows the hash of an old file."""
    alice, _, _, group = talk
    old = (await alice.ask("history", conversation=group))["messages"][-1]["file"]["sha256"]
    await alice.ask("grouphistory", group=group, history="joining")
    number = int(group[1:])

    def invite(name: str) -> Any:
        def run(tx: Connection, now: int) -> int:
            beta = realms.by_key(tx, b"b" * 32) or realms.add(
                tx,
                name="beta",
                public_key=b"b" * 32,
                own_name="beta",
                address=None,
                port=None,
                tls=False,
                state="active",
                now=now,
            )
            found = conversations.load(tx, id=_id(tx, number))
            assert found is not None
            group_members.join(tx, found, users.of_realm(tx, beta.id, name, now))
            return beta.id

        return run

    beta = await world.realm.journal.write(invite("bea"))

    async def given(after: int) -> list[int] | None:
        page = await world.realm.database.read(roster_sync.history, beta, number, after, 200)
        return None if page is None else [row["seq"] for row in page]

    assert await given(0) == await given(1) == []
    assert await world.realm.database.read(content_fetches.offered, beta, old) is None
    sent = await alice.ask("sendgroupfile", group=group, name="new.txt", data="bmV3")
    assert await given(0) == [4]
    offered = content_fetches.offered
    assert await world.realm.database.read(offered, beta, sent["file"]["sha256"]) is not None
    roster = await world.realm.database.read(roster_sync.of_realm, beta, number)
    assert roster is not None and roster["history"] == "joining"
    assert [m.get("hidden") for m in roster["members"]] == [None, None, 3]
    await alice.ask("grouphistory", group=group, history="all")
    await world.realm.journal.write(invite("bob"))
    assert await given(0) == [1, 2, 3, 4]
    assert await world.realm.database.read(offered, beta, old) is not None


def _id(tx: Connection, number: int) -> int:
    found = conversations.load(tx, group=GroupAddress(number), only=())
    assert found is not None
    return found.id
