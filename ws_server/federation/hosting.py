"""Changing a group hosted here for somebody of another realm, and telling all realms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import GroupPerson
from ws_server.publications import group_changed
from ws_server.store import hosting, membership
from ws_server.store.membership import GroupChange

if TYPE_CHECKING:
    from ws_server.realm import Realm


DONE = {
    "": "is already in",
    membership.JOINED: "is now in",
    membership.REMOVED: "is no longer in",
}


def group_person(group: str, user: str, change: str) -> GroupPerson:
    """Return what somebody is answered who invited or kicked a person.

    Args:
        change: What it came to, as in `GroupChange`.
    """
    return GroupPerson(group, user, DONE[change])


@dataclass(frozen=True, slots=True)
class Hosted:
    """A change that is on disk, and what other realms are told of it."""

    made: GroupChange
    roster: dict[str, Any]


async def change_group(realm: Realm, change: Callable[[Connection, int], GroupChange]) -> Hosted:
    """Change a group hosted here, push it to the people and put it into the outboxes.

    Raises:
        ChatError: what `change` refused, or UNAVAILABLE.
    """

    def run(tx: Connection, now: int) -> tuple[GroupChange, frozenset[int], dict[str, Any]]:
        made = change(tx, now)
        told = membership.tell(tx, made, now)
        return made, told, hosting.roster(tx, made.group, made.change)

    def tell(done: tuple[GroupChange, frozenset[int], dict[str, Any]]) -> None:
        made, told, _ = done
        if made.person is not None and made.change:
            realm.cache.put_group(made.group)
            publication = group_changed(made.group, made.person.name, made.change, made.user_id)
            realm.hub.publish(publication.event, publication.users)
        realm.links.nudge(told)

    made, _, roster = await realm.journal.write(run, tell)
    return Hosted(made, roster)
