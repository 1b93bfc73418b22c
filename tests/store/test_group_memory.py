"""Changes of a large group do not load all its members, and return the same as if they did."""

from __future__ import annotations

import asyncio
import random

from sqlalchemy import Connection, event

from shared.protocol.errors import ChatError
from shared.protocol.values import GroupAddress
from tests.world import World
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.entries import Mutation
from ws_server.store.groups import membership
from ws_server.store.groups.group_changes import GroupChange

PEOPLE = [f"p{number}" for number in range(12)]
GROUP = GroupAddress(1)


def as_read(tx: Connection) -> Conversation:
    found = conversations.load(tx, group=GROUP)
    assert found is not None
    return found


async def test_whatever_comes_and_goes_is_remembered_as_it_is_on_disk(world: World) -> None:
    """Also if a change in the same transaction is refused, or the batch is written again."""
    await world.add_users(*PEOPLE)
    dice = random.Random(7)
    ids = {}

    def find(tx: Connection) -> None:
        ids.update({name: users.existing(tx, name).id for name in ("alice", *PEOPLE)})

    await world.realm.database.read(find)
    await world.realm.journal.write(
        lambda tx, now: membership.create(tx, ids["alice"], "team", now)
    )

    def some_change() -> Mutation:
        name, refused = dice.choice(PEOPLE), dice.random() < 0.2
        what = dice.choice(("invite", "kick", "leave"))

        def change(tx: Connection, now: int) -> tuple[Conversation, Conversation]:
            whole = as_read(tx)
            owner = next(id for id, member in whole.members.items() if member.owner)
            person = users.existing(tx, name)
            made: GroupChange
            if what == "leave":
                made = membership.leave(tx, person.id, GROUP)
            elif what == "kick":
                made = membership.kick(tx, owner, GROUP, name, person)
            else:
                made = membership.invite(tx, owner, GROUP, name, person, now, waits=False)
            if refused:
                raise ChatError("conflict", "so that its transaction is undone")
            return (made.group, as_read(tx)) if made.members_changed else (whole, whole)

        return Mutation(change)

    compared = 0
    for _ in range(60):
        entries = [some_change() for _ in range(dice.randint(1, 6))]
        results = await asyncio.gather(
            *(world.realm.journal.write(entry) for entry in entries), return_exceptions=True
        )
        for result in results:
            if isinstance(result, ChatError):
                continue
            assert not isinstance(result, BaseException), result
            made, there = result
            assert (made, list(made.members)) == (there, list(there.members))
            compared += 1
    assert compared > 50


async def test_a_second_change_of_a_group_reads_no_more_of_it(world: World) -> None:
    """Fixed: each invitation to a group of 5,000 loaded all members, and delayed other users."""
    await world.add_users(*PEOPLE)
    (alice,) = await world.log_in("alice")
    await alice.ask("creategroup", name="team")
    for name in PEOPLE:
        await alice.ask("invitegroup", group=1, user=name)
    asked: list[str] = []

    def count(tx: Connection, now: int) -> None:
        def note(*about: object) -> None:
            asked.append(str(about[2]))

        event.listen(tx, "before_cursor_execute", note)

    await world.realm.journal.write(count)
    await alice.ask("kick", group=1, user=PEOPLE[0])
    whole = [sql for sql in asked if "ORDER BY members.place" in sql and " IN (" not in sql]
    assert asked and not whole, whole
