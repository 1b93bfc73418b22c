"""Who comes into a group hosted here, and who goes: the rules, whoever asks, from wherever.

People of this realm ask by their commands, those of other realms through a link. Each function
runs inside the transaction of its change, and refuses in the same order for all of them: whether
the caller is in the group, whether they may, whom it is about, and what is so of that person.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import GroupAddress
from ws_server.store import blocks, conversations, hosting, invitations, kept_out, users
from ws_server.store.conversations import Conversation, Member
from ws_server.store.invitations import Invitation
from ws_server.store.users import User

JOINED, LEFT, REMOVED, INVITED = "joined", "left", "removed", "invited"
BANNED, UNBANNED = "banned", "unbanned"
"""No changes of members, but what somebody is answered."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What was changed inside a transaction."""

    group: Conversation
    """As it is now; with all its members if it was changed."""
    change: str = ""
    """joined, left, removed or invited; empty if nothing was changed."""
    user_id: int = 0
    person: Member | None = None
    """Whom it is about."""
    told: Collection[int] | None = None
    """Who is told, if not the members and the person: no member came or went then."""
    by: int | None = None
    """Who invited the person."""


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
    tx: Connection,
    caller: int,
    address: GroupAddress,
    name: str,
    person: User | None,
    now: int,
    *,
    waits: bool,
) -> GroupChange:
    """Add a person to a group; any member may, and nothing is changed if they are in it.

    Args:
        name: Whom the caller named.
        person: Who that is; None if nobody.
        waits: A person of this realm whom a stranger of another one invites has to accept.

    Raises:
        ChatError: UNKNOWN_GROUP; UNKNOWN_USER; FORBIDDEN, the account is disabled, the person
            blocks the caller, or is kept out of the group; TOO_LARGE; RATE_LIMITED, too many
            invitations wait.
    """
    group = conversations.group(tx, caller, address, _both(caller, person))
    person = invitable(tx, group, caller, name, person)
    if person.id in group.members:
        return GroupChange(group, "", person.id, group.members[person.id])
    kept_out.check(tx, group, caller, person.id, person.name)
    stranger = group.members[caller].realm_id
    if waits and stranger is not None and person.realm_id is None:
        if not invitations.has_written(tx, person.id, caller):
            return _let_wait(tx, group, person, stranger, now)
    invitations.remove(tx, group.id, person.id)
    group = conversations.join(tx, group, person)
    return GroupChange(group, JOINED, person.id, group.members[person.id], by=caller)


def _let_wait(
    tx: Connection, group: Conversation, person: User, realm_id: int, now: int
) -> GroupChange:
    """Note an invitation; one that waits already is left alone."""
    told: tuple[int, ...] = ()
    if not invitations.of_group(tx, group.id, (person.id,)):
        if not invitations.has_room(tx, person.id, realm_id):
            raise ChatError(
                ErrorCode.RATE_LIMITED,
                f"Too many invitations wait for {person.name}, or of your realm here",
                retry_after=3600,
            )
        invitations.add(tx, group.id, person.id, realm_id, Invitation(), now)
        told = (person.id,)
    return GroupChange(group, INVITED, person.id, Member(person.name, False), told)


def invitable(
    tx: Connection, group: Conversation, caller: int, name: str, person: User | None
) -> User:
    """Return whom one invites, for a group of which one is a member, hosted here or elsewhere.

    Args:
        group: With at least that person, if they are in it.

    Raises:
        ChatError: UNKNOWN_USER; FORBIDDEN, the account is disabled, or the person blocks the
            caller.
    """
    if person is None:
        raise users.unknown_user(name)
    if person.id in group.members:
        return person
    if person.disabled:
        raise users.is_disabled(person.name)
    if blocks.blocks(tx, person.id, caller):
        raise blocks.refused(person.name)
    return person


def accept(tx: Connection, person: User, address: GroupAddress) -> GroupChange:
    """Make somebody a member who was invited; nothing is changed if they are one.

    Raises:
        ChatError: UNKNOWN_GROUP; TOO_LARGE.
    """
    group = _invited(tx, person.id, address)
    if person.id in group.members:
        return GroupChange(group, "", person.id, group.members[person.id])
    invitations.remove(tx, group.id, person.id)
    group = conversations.join(tx, group, person)
    return GroupChange(group, JOINED, person.id, group.members[person.id])


def decline(tx: Connection, user_id: int, address: GroupAddress) -> GroupChange:
    """Turn down an invitation.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = _invited(tx, user_id, address)
    if not invitations.remove(tx, group.id, user_id):
        raise conversations.unknown_group(address)
    return GroupChange(group, LEFT, user_id, Member(users.name_of(tx, user_id), False), (user_id,))


def _invited(tx: Connection, user_id: int, address: GroupAddress) -> Conversation:
    """Return a group to which somebody is invited, or in which they are."""
    group = conversations.load(tx, group=address, only=(user_id,))
    if group is None:
        raise conversations.unknown_group(address)
    if user_id not in group.members and not invitations.of_group(tx, group.id, (user_id,)):
        raise conversations.unknown_group(address)
    return group


def kick(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Remove a person from a group that the caller owns; only the owner may invite them again.

    Args:
        name: Whom the caller named.
        person: Who that is; None if nobody.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, for all but the owner and of oneself; UNKNOWN_USER,
            also for somebody who is not in the group.
    """
    group, person = _governed(tx, caller, address, name, person)
    made = _remove(tx, group, person)
    if not made.change:
        raise ChatError(ErrorCode.UNKNOWN_USER, f"{person.name} is not in {group.address(0)}")
    kept_out.note(tx, group, person.id, banned=False)
    return made


def ban(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Keep a person out of a group that the caller owns, and remove them if they are in it.

    Args:
        name: Whom the caller named.
        person: Who that is; None if nobody.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, for all but the owner and of oneself; UNKNOWN_USER;
            TOO_LARGE.
    """
    group, person = _governed(tx, caller, address, name, person)
    kept_out.note(tx, group, person.id, banned=True)
    return _remove(tx, group, person)


def unban(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Let a person be invited again to a group that the caller owns.

    Args:
        name: Whom the caller named.
        person: Who that is; None if nobody.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, for all but the owner and of oneself; UNKNOWN_USER.
    """
    group, person = _governed(tx, caller, address, name, person)
    kept_out.clear(tx, group, person.id)
    return GroupChange(group, "", person.id, Member(person.name, False))


def _governed(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> tuple[Conversation, User]:
    """Return a group and whom its owner wishes in or out: who may do that is decided here alone."""
    group = conversations.group(tx, caller, address, _both(caller, person))
    if not group.members[caller].owner:
        raise conversations.not_owner(group)
    if person is None:
        raise users.unknown_user(name)
    if person.id == caller:
        raise ChatError(ErrorCode.FORBIDDEN, "To go yourself, use leavegroup")
    return group, person


def _remove(tx: Connection, group: Conversation, person: User) -> GroupChange:
    """Take a person out of a group, or take their invitation back."""
    gone = group.members.get(person.id)
    if gone is not None:
        return GroupChange(conversations.leave(tx, group, person.id), REMOVED, person.id, gone)
    invited = Member(person.name, False)
    if invitations.remove(tx, group.id, person.id):
        return GroupChange(group, REMOVED, person.id, invited, (person.id,))
    return GroupChange(group, "", person.id, invited)


def leave(tx: Connection, caller: int, address: GroupAddress) -> GroupChange:
    """Let a member go; an owner hands the group to its oldest member.

    Somebody who is only invited declines by it.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = _invited(tx, caller, address)
    if caller not in group.members:
        return decline(tx, caller, address)
    gone = group.members[caller]
    return GroupChange(conversations.leave(tx, group, caller), LEFT, caller, gone)


def tell(tx: Connection, made: GroupChange, now: int) -> frozenset[int]:
    """Let the realms of the members before and after know, and return which will be told."""
    if made.person is None or not made.change or made.told is not None:
        return frozenset()
    return hosting.tell(tx, made.group, made.change, now, [made.person.realm_id], made.by)


def _both(caller: int, person: User | None) -> tuple[int, int]:
    """Return which members have to be loaded; a group may have thousands."""
    return caller, person.id if person else caller
