"""The rules of membership in groups hosted here, for local users and users of other realms.

Local users send commands; users of other realms send requests through a link. Each function runs
inside the transaction of its change. All check in the same order: whether the caller is in the
group, whether they have the right, whether the named person exists, and that person's state.
"""

from __future__ import annotations

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import GroupAddress
from ws_server.store import conversations
from ws_server.store.accounts import blocks, users
from ws_server.store.accounts.users import User
from ws_server.store.conversations import Conversation
from ws_server.store.groups import group_bans, group_history, group_members, invitations
from ws_server.store.groups.group_changes import (
    HISTORY,
    INVITED,
    LEFT,
    REMOVED,
    GroupChange,
    PersonChange,
    joined,
    private_change,
    unchanged,
)
from ws_server.store.groups.invitations import Invitation


def create(
    tx: Connection, owner_id: int, name: str, now: int, request: str | None = None
) -> GroupChange:
    """Create a group with its owner; repeating a request of another realm returns the first group.

    Raises:
        ChatError: UNKNOWN_GROUP, the owner has since left the group made by this request.
    """
    made = None if request is None else group_members.requested(tx, request)
    if made is not None:
        if owner_id not in made.members:
            raise conversations.unknown_group(GroupAddress(made.number or 0))
        return unchanged(made, made.members[owner_id].name)
    made = group_members.create_group(tx, owner_id, name, now, request=request)
    return joined(made, owner_id)


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
    """Add a person to a group, or invite them; unchanged if they are in it. Any member may invite.

    Args:
        name: The name as the caller wrote it.
        person: The person of that name; None if there is none.
        waits: Whether a local user must accept an invitation from a stranger of another realm.

    Raises:
        ChatError: UNKNOWN_GROUP; UNKNOWN_USER; FORBIDDEN, the account is disabled, or the person
            blocks the caller or was kicked or banned; TOO_LARGE; RATE_LIMITED, too many
            invitations are pending.
    """
    group = conversations.group(tx, caller, address, _both(caller, person))
    person = invitable(tx, group, caller, name, person)
    if person.id in group.members:
        return unchanged(group, group.members[person.id].name)
    group_bans.check(tx, group, caller, person.id, person.name)
    stranger = group.members[caller].realm_id
    waits = waits and person.realm_id is None
    if waits and stranger is not None and not invitations.has_written(tx, person.id, caller):
        return _let_wait(tx, group, person, stranger, now)
    invitations.remove(tx, group.id, person.id)
    return joined(group_members.join(tx, group, person), person.id, by=caller)


def _let_wait(
    tx: Connection, group: Conversation, person: User, realm_id: int, now: int
) -> GroupChange:
    """Store a pending invitation; one that exists stays unchanged."""
    if invitations.of_group(tx, group.id, (person.id,)):
        return GroupChange(group, [PersonChange(person.name, INVITED)])
    if not invitations.has_room(tx, person.id, realm_id):
        raise ChatError(
            ErrorCode.RATE_LIMITED,
            f"Too many invitations are pending for {person.name}, or from your realm",
            retry_after=3600,
        )
    invitations.add(tx, group.id, person.id, realm_id, Invitation(), now)
    return private_change(group, person.id, person.name, INVITED)


def invitable(
    tx: Connection, group: Conversation, caller: int, name: str, person: User | None
) -> User:
    """Return the person to invite, for a group of the caller, hosted here or elsewhere.

    Args:
        group: Loaded with at least that person, if they are a member.
        name, person: See `invite`.

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
    """Make an invited person a member; unchanged if they are one.

    Raises:
        ChatError: UNKNOWN_GROUP; TOO_LARGE.
    """
    group = _invited(tx, person.id, address)
    if person.id in group.members:
        return unchanged(group, group.members[person.id].name)
    invitations.remove(tx, group.id, person.id)
    return joined(group_members.join(tx, group, person), person.id)


def decline(tx: Connection, user_id: int, address: GroupAddress) -> GroupChange:
    """Decline an invitation.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = _invited(tx, user_id, address)
    if not invitations.remove(tx, group.id, user_id):
        raise conversations.unknown_group(address)
    return private_change(group, user_id, users.name_of(tx, user_id), LEFT)


def _invited(tx: Connection, user_id: int, address: GroupAddress) -> Conversation:
    """Return a group that a user is a member of, or invited to."""
    group = conversations.load(tx, group=address, only=(user_id,))
    if group is None:
        raise conversations.unknown_group(address)
    if user_id not in group.members and not invitations.of_group(tx, group.id, (user_id,)):
        raise conversations.unknown_group(address)
    return group


def kick(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Remove a person from the caller's own group; only the owner may invite them again.

    Args:
        name, person: See `invite`.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, the caller is not the owner, or names themselves;
            UNKNOWN_USER, also if the person is not in the group.
    """
    group, person = _governed(tx, caller, address, name, person)
    made = _remove(tx, group, person)
    if not made.person.change:
        raise ChatError(ErrorCode.UNKNOWN_USER, f"{person.name} is not in {group.address(0)}")
    group_bans.note(tx, group, person.id, banned=False)
    return made


def ban(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Ban a person from the caller's own group, and remove them if they are in it.

    Args:
        name, person: See `invite`.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, the caller is not the owner, or names themselves;
            UNKNOWN_USER; TOO_LARGE.
    """
    group, person = _governed(tx, caller, address, name, person)
    group_bans.note(tx, group, person.id, banned=True)
    return _remove(tx, group, person)


def unban(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> GroupChange:
    """Allow a person to be invited again to the caller's own group.

    Args:
        name, person: See `invite`.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, the caller is not the owner, or names themselves;
            UNKNOWN_USER.
    """
    group, person = _governed(tx, caller, address, name, person)
    group_bans.clear(tx, group, person.id)
    return unchanged(group, person.name)


def choose_history(
    tx: Connection, caller: int, address: GroupAddress, *, joining: bool
) -> GroupChange:
    """Set what new members of the caller's own group may read.

    Args:
        joining: True for messages sent after they join, False for the whole history.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, the caller is not the owner.
    """
    group = conversations.group(tx, caller, address, (caller,))
    owner = group.members[caller]
    if not owner.owner:
        raise conversations.not_owner(group)
    if group_history.is_from_joining(tx, group.id) == joining:
        return unchanged(group, owner.name)
    group_history.choose(tx, group.id, joining=joining)
    # A new version, so that other realms with members get the roster.
    group = group_members.changed(tx, group, ())
    chosen = PersonChange(owner.name, HISTORY, group.members, joining=joining)
    return GroupChange(group, [chosen], members_changed=True)


def _governed(
    tx: Connection, caller: int, address: GroupAddress, name: str, person: User | None
) -> tuple[Conversation, User]:
    """Return a group and the person its owner acts on; the only check of the owner's rights."""
    group = conversations.group(tx, caller, address, _both(caller, person))
    if not group.members[caller].owner:
        raise conversations.not_owner(group)
    if person is None:
        raise users.unknown_user(name)
    if person.id == caller:
        raise ChatError(ErrorCode.FORBIDDEN, "You cannot remove yourself; use leavegroup")
    return group, person


def _remove(tx: Connection, group: Conversation, person: User) -> GroupChange:
    """Remove a person from a group, or withdraw their invitation."""
    if person.id in group.members:
        return _part(tx, group, person.id, REMOVED)
    if invitations.remove(tx, group.id, person.id):
        return private_change(group, person.id, person.name, REMOVED)
    return unchanged(group, person.name)


def _part(tx: Connection, group: Conversation, user_id: int, change: str) -> GroupChange:
    """Remove a member from a group."""
    gone = group.members[user_id]
    group = group_members.leave(tx, group, user_id)
    told = {*group.members, user_id}
    person = PersonChange(gone.name, change, told, gone.realm_id)
    return GroupChange(group, [person], members_changed=True)


def leave(tx: Connection, caller: int, address: GroupAddress) -> GroupChange:
    """Remove the caller from a group; an owner's role passes to the oldest member.

    For a person who is only invited, this declines the invitation.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = _invited(tx, caller, address)
    if caller not in group.members:
        return decline(tx, caller, address)
    return _part(tx, group, caller, LEFT)


def _both(caller: int, person: User | None) -> tuple[int, int]:
    """Return the members to load: only these two, because a group may have thousands."""
    return caller, person.id if person else caller
