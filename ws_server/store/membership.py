"""Who comes into a group hosted here, and who goes: the rules, whoever asks, from wherever.

People of this realm ask by their commands, those of other realms through a link. Each function
runs inside the transaction of its change, and refuses in the same order for all of them: whether
the caller is in the group, whether they may, whom it is about, and what is so of that person.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import GroupAddress
from ws_server.store import conversations, hosting, users
from ws_server.store.conversations import Conversation, Member
from ws_server.store.users import User

JOINED, LEFT, REMOVED = "joined", "left", "removed"


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What was changed inside a transaction."""

    group: Conversation
    """As it is now; with all its members if it was changed."""
    change: str = ""
    """joined, left or removed; empty if nothing was changed."""
    user_id: int = 0
    person: Member | None = None
    """Whom it is about."""


def create(
    tx: Connection, owner_id: int, name: str, now: int, request: str | None = None
) -> GroupChange:
    """Make a group with its owner in it; the same request of another realm makes it once.

    Raises:
        ChatError: UNKNOWN_GROUP, the request made a group that its owner has left since.
    """
    made = None if request is None else conversations.requested(tx, request)
    if made is not None:
        if owner_id not in made.members:
            raise conversations.unknown_group(GroupAddress(made.number or 0))
        return GroupChange(made)
    made = conversations.create_group(tx, owner_id, name, now, request=request)
    return GroupChange(made, JOINED, owner_id, made.members[owner_id])


def invite(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Add a person to a group; any member may, and nothing is changed if they are in it.

    Args:
        name: Whom the caller named.
        person: Who that is; None if nobody.

    Raises:
        ChatError: UNKNOWN_GROUP; UNKNOWN_USER; FORBIDDEN, the account is disabled; TOO_LARGE.
    """
    group = conversations.group(tx, caller, address, _both(caller, person))
    person = invitable(group, name, person)
    if person.id in group.members:
        return GroupChange(group, "", person.id, group.members[person.id])
    group = conversations.join(tx, group, person)
    return GroupChange(group, JOINED, person.id, group.members[person.id])


def invitable(group: Conversation, name: str, person: User | None) -> User:
    """Return whom one invites, for a group of which one is a member, hosted here or elsewhere.

    Args:
        group: With at least that person, if they are in it.

    Raises:
        ChatError: UNKNOWN_USER, or FORBIDDEN, the account is disabled.
    """
    if person is None:
        raise users.unknown_user(name)
    if person.disabled and person.id not in group.members:
        raise users.is_disabled(person.name)
    return person


def kick(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Remove a person from a group that the caller owns.

    Args:
        name: Whom the caller named.
        person: Who that is; None if nobody.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, for all but the owner and of oneself; UNKNOWN_USER,
            also for somebody who is not in the group.
    """
    group = conversations.group(tx, caller, address, _both(caller, person))
    if not group.members[caller].owner:
        raise conversations.not_owner(group)
    if person is None:
        raise users.unknown_user(name)
    if person.id == caller:
        raise ChatError(ErrorCode.FORBIDDEN, "To go yourself, use leavegroup")
    if person.id not in group.members:
        raise ChatError(ErrorCode.UNKNOWN_USER, f"{person.name} is not in {group.address(0)}")
    gone = group.members[person.id]
    return GroupChange(conversations.leave(tx, group, person.id), REMOVED, person.id, gone)


def leave(tx: Connection, caller: int, address: GroupAddress) -> GroupChange:
    """Let a member go; an owner hands the group to its oldest member.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = conversations.group(tx, caller, address, (caller,))
    gone = group.members[caller]
    return GroupChange(conversations.leave(tx, group, caller), LEFT, caller, gone)


def tell(tx: Connection, made: GroupChange, now: int) -> frozenset[int]:
    """Let the realms of the members before and after know, and return which will be told."""
    if made.person is None or not made.change:
        return frozenset()
    return hosting.tell(tx, made.group, made.change, now, [made.person.realm_id])


def _both(caller: int, person: User | None) -> tuple[int, int]:
    """Return which members have to be loaded; a group may have thousands."""
    return caller, person.id if person else caller
