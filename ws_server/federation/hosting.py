"""Changing a group hosted here whose members are of several realms, and telling them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from ws_server.publications import group_changed
from ws_server.store import hosting
from ws_server.store.conversations import Conversation
from ws_server.store.users import User

if TYPE_CHECKING:
    from ws_server.realm import Realm


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What was changed inside a transaction: nothing, if nobody is named."""

    group: Conversation
    """As it is now, with all its members."""
    person: User | None = None
    change: str = ""
    """joined, left or removed."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A change that is on disk, and what other realms are told of it."""

    group: Conversation
    person: User | None
    roster: dict[str, Any]


async def change_group(realm: Realm, change: Callable[[Connection, int], GroupChange]) -> Hosted:
    """Change a group hosted here, push it to the people and put it into the outboxes.

    Raises:
        ChatError: what `change` refused, or UNAVAILABLE.
    """

    def run(tx: Connection, now: int) -> tuple[GroupChange, frozenset[int], dict[str, Any]]:
        made = change(tx, now)
        told: frozenset[int] = frozenset()
        if made.person is not None:
            told = hosting.tell(tx, made.group, made.change, now, [made.person.realm_id])
        return made, told, hosting.roster(tx, made.group, made.change)

    def tell(done: tuple[GroupChange, frozenset[int], dict[str, Any]]) -> None:
        made, told, _ = done
        realm.cache.put_group(made.group)
        if made.person is not None:
            publication = group_changed(made.group, made.person.name, made.change, made.person.id)
            realm.hub.publish(publication.event, publication.users)
        realm.links.nudge(told)

    made, _, roster = await realm.journal.write(run, tell)
    return Hosted(made.group, made.person, roster)
