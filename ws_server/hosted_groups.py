"""Changes of groups hosted here, for callers of this realm and of others.

`store.membership` has the rules. Commands of local people and requests of other realms differ only
in how they name people and in the form of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from shared.protocol.commands.groups import GroupPerson
from shared.protocol.values import Address, GroupAddress
from ws_server.outcome import Outcome
from ws_server.publications import group_outcome
from ws_server.store.accounts import users
from ws_server.store.accounts.users import User
from ws_server.store.federation import roster_sync
from ws_server.store.groups import membership
from ws_server.store.groups.group_changes import HISTORY, INVITED, JOINED, REMOVED, GroupChange

BANNED, UNBANNED = "banned", "unbanned"

_GOVERNING = {
    "kick": (membership.kick, REMOVED),
    "ban": (membership.ban, BANNED),
    "unban": (membership.unban, UNBANNED),
}
"""The rules of an owner's commands, and the owner's replies."""
_DONE = {
    "": "is already in",
    JOINED: "is now in",
    INVITED: "is invited to",
    REMOVED: "is no longer in",
    BANNED: "is banned from",
    UNBANNED: "may be invited again to",
}


class Named(Protocol):
    """The person that a change is about; looked up inside its transaction."""

    @property
    def name(self) -> str:
        """The person's name in a refusal."""

    def find(self, tx: Connection) -> User | None:
        """Return the person; None if unknown here.

        Raises:
            ChatError: UNKNOWN_REALM.
        """

    def note(self, tx: Connection, now: int) -> User | None:
        """Return the person; an unknown person of another realm is added.

        Raises:
            ChatError: UNKNOWN_REALM.
        """


@dataclass(frozen=True, slots=True)
class Addressed:
    """A person as local people address them."""

    address: Address

    @property
    def name(self) -> str:
        return str(self.address)

    def find(self, tx: Connection) -> User | None:
        return users.find_at(tx, self.address)

    def note(self, tx: Connection, now: int) -> User | None:
        return users.note_at(tx, self.address, now)


@dataclass(frozen=True, slots=True)
class OfRealm:
    """A person authenticated by their own realm."""

    realm_id: int
    name: str

    def find(self, tx: Connection) -> User | None:
        return users.find_of(tx, self.realm_id, self.name)

    def note(self, tx: Connection, now: int) -> User:
        return users.of_realm(tx, self.realm_id, self.name, now)


Caller = int | OfRealm
"""The caller: the id of a local user, or a user of another realm."""
Rule = Callable[[Connection, int], GroupChange]
"""Runs inside the transaction, with the time in Unix milliseconds."""


def create(caller: Caller, name: str, request: str | None = None) -> Rule:
    """Create a group owned by the caller; see `membership.create`."""
    return lambda tx, now: membership.create(tx, _id(tx, caller, now), name, now, request)


def invite(caller: Caller, group: GroupAddress, named: Named, *, waits: bool) -> Rule:
    """Add a person to a group or invite them; see `membership.invite`."""

    def run(tx: Connection, now: int) -> GroupChange:
        caller_id = _id(tx, caller, now)
        person = named.note(tx, now)
        return membership.invite(tx, caller_id, group, named.name, person, now, waits=waits)

    return run


def govern(command: str, caller: Caller, group: GroupAddress, named: Named) -> Rule:
    """Kick, ban or unban a person; see the rule of that name in `membership`.

    Args:
        command: kick, ban or unban.
    """
    rule, _ = _GOVERNING[command]

    def run(tx: Connection, now: int) -> GroupChange:
        caller_id = _id(tx, caller, now)
        # A person of another realm may be banned before they are known here.
        person = named.note(tx, now) if command == "ban" else named.find(tx)
        return rule(tx, caller_id, group, named.name, person)

    return run


def choose_history(caller: Caller, group: GroupAddress, *, joining: bool) -> Rule:
    """Choose the history that new members may read; see `membership.choose_history`."""
    return lambda tx, now: membership.choose_history(
        tx, _id(tx, caller, now), group, joining=joining
    )


def leave(caller: Caller, group: GroupAddress) -> Rule:
    """Remove the caller from a group; see `membership.leave`."""
    return lambda tx, now: membership.leave(tx, _id(tx, caller, now), group)


def accept(name: str, group: GroupAddress) -> Rule:
    """Accept an invitation of a local person; see `membership.accept`."""
    return lambda tx, now: membership.accept(tx, users.existing(tx, name), group)


def decline(user_id: int, group: GroupAddress) -> Rule:
    """Decline an invitation of a local person; see `membership.decline`."""
    return lambda tx, now: membership.decline(tx, user_id, group)


def _id(tx: Connection, caller: Caller, now: int) -> int:
    return caller if isinstance(caller, int) else caller.note(tx, now).id


def change(
    rule: Rule, answer: Callable[[Connection, GroupChange], Any]
) -> Callable[[Connection, int], Outcome]:
    """Return the change of a group and its outcome, as an entry for the journal.

    Args:
        answer: Makes the caller's reply; runs inside the transaction.
    """

    def run(tx: Connection, now: int) -> Outcome:
        made = rule(tx, now)
        person, realms = made.person, frozenset[int]()
        if made.members_changed:
            gone = (person.realm_id,)
            # A roster tells who came or went; its other fields speak for themselves.
            why = "" if person.change == HISTORY else person.change
            realms = roster_sync.tell(tx, made.group, why, now, gone, person.by)
        return group_outcome(made, answer(tx, made), realms)

    return run


def roster(tx: Connection, made: GroupChange) -> dict[str, Any]:
    """Return the answer to another realm that requested a change."""
    change = made.person.change
    return roster_sync.roster(tx, made.group, "" if change == HISTORY else change)


def invited(tx: Connection, made: GroupChange) -> GroupPerson:
    """Return the reply to a local person who invited somebody."""
    return invitation_answer(made.group.address(0), made.person.name, made.person.change)


def governed(command: str) -> Callable[[Connection, GroupChange], GroupPerson]:
    """Return the function that makes the reply to kick, ban or unban."""
    return lambda tx, made: governing_answer(command, made.group.address(0), made.person.name)


def invitation_answer(group: str, person: str, change: str) -> GroupPerson:
    """Return the reply to an invitation.

    Args:
        change: JOINED, INVITED, or empty if the person was a member before.
    """
    return GroupPerson(group, person, _DONE[change])


def governing_answer(command: str, group: str, person: str) -> GroupPerson:
    """Return the reply to the owner of a group after kick, ban or unban."""
    _, done = _GOVERNING[command]
    return GroupPerson(group, person, _DONE[done])
