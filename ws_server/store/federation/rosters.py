"""Members of groups that another realm hosts, as the hosts announce them; see `replicas`.

The host's roster alone does not admit local users: `group_admission` decides. A pending invitation
becomes a membership when the person accepts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from shared.protocol.values import GroupAddress, fold
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.federation import realms as known_realms
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.federation.replicas import Speaker, find, name_at
from ws_server.store.groups import group_admission, group_history, invitations
from ws_server.store.groups.group_admission import Admission
from ws_server.store.groups.group_changes import (
    HISTORY,
    INVITED,
    JOINED,
    LEFT,
    REMOVED,
    GroupChange,
    PersonChange,
    private_change,
)
from ws_server.store.groups.invitations import Invitation
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import members

MAX_HOSTED = 2_000
"""Groups of one host that may have local members; rosters of further groups are ignored."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group, as announced by its host."""

    speaker: Speaker
    owner: bool
    joined: int
    """The seq at which they joined. Later messages count as unread for them, even if the roster
    arrives after those messages."""
    hidden: int = 0
    """Messages up to this seq are hidden from them."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The members of a group, as announced by its host."""

    group: int
    name: str
    version: int
    last_seq: int
    members: Sequence[Member]
    """In the order of joining."""
    change: str = ""
    """The reason for the announcement: joined, left or removed; invited, in the reply to an
    inviter."""
    by: Speaker | None = None
    """The inviter of a member who joined, if the host sent it."""
    joining: bool = False
    """New members read only messages sent after they join."""


def apply_roster(
    tx: Connection,
    host: KnownRealm,
    roster: Roster,
    own_key: bytes,
    admission: Admission,
    now: int,
) -> GroupChange | None:
    """Replace a group's members by those of a roster; None if the roster is not newer.

    Args:
        admission: Decides about new local members, and records the decisions.
    """
    group = find(tx, host, roster.group)
    if group is not None and group.version >= roster.version:
        return _enter_expected(tx, group, admission)
    if group is None and not any(member.speaker.key == own_key for member in roster.members):
        return None
    if group is None and _hosted(tx, host) >= MAX_HOSTED:
        return None
    before = {} if group is None else group.members
    known = {} if group is None else invitations.of_group(tx, group.id)
    new_here = {
        user_id: invitation
        for user_id, invitation in _own_people(tx, roster, own_key, now).items()
        if user_id not in before
    }
    by = _inviter(tx, host, roster.by, own_key)
    admission.decide(tx, host, roster.group, new_here, known, by)
    if group is None and not admission.inside and not admission.invited:
        return None
    was_joining = group is not None and group_history.is_from_joining(tx, group.id)
    version = roster.version
    if admission.inside or any(member.realm_id is None for member in before.values()):
        wanted = _people(tx, host, roster, own_key, now)
        for user_id in new_here.keys() - admission.inside:
            del wanted[user_id]
    else:
        # Without local members, only the invitations of a group are stored.
        wanted, version = {}, 0
    group_id = _keep_group(tx, host, roster, group, version, now)
    invited, withdrawn = _note_invitations(tx, host, group_id, admission, known, now)
    _keep_members(tx, group_id, before, wanted, roster.last_seq)
    updated = conversations.load(tx, id=group_id)
    assert updated is not None
    joined = [user_id for user_id in wanted if user_id not in before]
    if group is None or not group.version:
        # The earlier members are not announced to the first local ones.
        joined = [user_id for user_id in joined if updated.members[user_id].realm_id is None]
    gone = [member.name for user_id, member in before.items() if user_id not in wanted]
    why_gone = roster.change if roster.change in (LEFT, REMOVED) else REMOVED
    told = {*before, *wanted}
    people = [
        *(PersonChange(name, INVITED, (user_id,)) for user_id, name in invited.items()),
        *(PersonChange(name, REMOVED, (user_id,)) for user_id, name in withdrawn.items()),
        *(PersonChange(updated.members[user_id].name, JOINED, told) for user_id in joined),
        *(PersonChange(name, why_gone, told) for name in gone),
    ]
    owner = next((member for member in updated.members.values() if member.owner), None)
    if group is not None and group.version and owner and was_joining != roster.joining:
        people.append(PersonChange(owner.name, HISTORY, told, joining=roster.joining))
    return GroupChange(updated, people, members_changed=True)


def _keep_group(
    tx: Connection,
    host: KnownRealm,
    roster: Roster,
    group: Conversation | None,
    version: int,
    now: int,
) -> int:
    """Store a group's name and version, and return its id.

    Args:
        group: The stored replica; None if the group is new here.
        version: The version of the stored members.
    """
    values = {
        "name": roster.name,
        "version": version,
        "history_from_joining": roster.joining,
    }
    if group is not None:
        mine = conversation_table.c.id == group.id
        tx.execute(update(conversation_table).where(mine).values(values))
        return group.id
    row = conversations.new_row(tx, now) | {"realm_id": host.id, "number": roster.group} | values
    made = tx.execute(insert(conversation_table).values(row))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def _keep_members(
    tx: Connection,
    group_id: int,
    before: Collection[int],
    wanted: Mapping[int, Member],
    last_seq: int,
) -> None:
    """Replace a group's members by these, in this order.

    Args:
        last_seq: The host's newest message, an upper bound of the joined seqs.
    """
    placed = [
        {
            "of": user_id,
            "owner": member.owner,
            "place": place,
            "hidden_seq": min(member.hidden, last_seq),
        }
        for place, (user_id, member) in enumerate(wanted.items())
    ]
    mine = members.c.conversation_id == group_id
    this = and_(mine, members.c.user_id == bindparam("of"))
    if gone := [{"of": user_id} for user_id in before if user_id not in wanted]:
        tx.execute(delete(members).where(this), gone)
    if kept := [row for row in placed if row["of"] in before]:
        tx.execute(update(members).where(this), kept)
    if new := [row for row in placed if row["of"] not in before]:
        marks = ("joined_seq", "read_seq", "received_seq")
        rows = [
            {"conversation_id": group_id, "user_id": of, **row}
            | dict.fromkeys(marks, min(wanted[of].joined, last_seq))
            for of, row in ((row.pop("of"), row) for row in new)
        ]
        tx.execute(insert(members), rows)
    group_history.begin_replica(tx, group_id)


def _own_people(tx: Connection, roster: Roster, own_key: bytes, now: int) -> dict[int, Invitation]:
    """Return role and position of each local user in a roster, by user id."""
    own = {
        fold(member.speaker.name): Invitation(
            member.owner,
            place,
            min(member.joined, roster.last_seq),
            min(member.hidden, roster.last_seq),
        )
        for place, member in enumerate(roster.members)
        if member.speaker.key == own_key
    }
    ids = users.ids_of_realm(tx, None, list(own), now)
    return {user_id: own[key] for key, user_id in ids.items()}


def _inviter(
    tx: Connection, host: KnownRealm, by: Speaker | None, own_key: bytes
) -> tuple[int, bool] | None:
    if by is None:
        return None
    if not by.key or by.key == own_key:
        return group_admission.inviter(tx, host, by.name, None if by.key else host.id)
    realm = known_realms.by_key(tx, by.key)
    return None if realm is None else group_admission.inviter(tx, host, by.name, realm.id)


def _note_invitations(
    tx: Connection,
    host: KnownRealm,
    group_id: int,
    admission: Admission,
    known: Mapping[int, Invitation],
    now: int,
) -> tuple[dict[int, str], dict[int, str]]:
    """Store a roster's invitations; return the names of newly invited and of withdrawn users."""
    invited: dict[int, str] = {}
    for user_id, invitation in admission.invited.items():
        if user_id in known:
            invitations.change(tx, group_id, user_id, invitation)
        else:
            invitations.add(tx, group_id, user_id, host.id, invitation, now)
            if not invitation.declined:
                invited[user_id] = users.name_of(tx, user_id)
    withdrawn = {
        user_id: users.name_of(tx, user_id)
        for user_id in known.keys() - admission.invited.keys()
        if invitations.remove(tx, group_id, user_id) and user_id not in admission.inside
    }
    return invited, withdrawn


def _enter_expected(
    tx: Connection, group: Conversation, admission: Admission
) -> GroupChange | None:
    """Admit users whose roster arrived before the reply to this realm's own request."""
    known = invitations.of_group(tx, group.id)
    joined = [
        user_id
        for user_id, invitation in known.items()
        if (user_id, group.number) in admission.expected
        or (invitation.owner and (user_id, None) in admission.expected)
    ]
    return _enter(tx, group, {user_id: known[user_id] for user_id in joined}) if joined else None


def _enter(tx: Connection, group: Conversation, people: Mapping[int, Invitation]) -> GroupChange:
    for user_id, invitation in people.items():
        invitations.enter(tx, group.id, user_id, invitation)
    group_history.begin_replica(tx, group.id)
    updated = conversations.load(tx, id=group.id)
    assert updated is not None
    told = set(updated.members)
    joined = [PersonChange(updated.members[user_id].name, JOINED, told) for user_id in people]
    return GroupChange(updated, joined, members_changed=True)


def accept(tx: Connection, host: KnownRealm, number: int, user_id: int) -> GroupChange | None:
    """Make an invited user a member of a replica; None if they are one already.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = find(tx, host, number)
    if group is not None and user_id in group.members:
        return None
    found = {} if group is None else invitations.of_group(tx, group.id, (user_id,))
    if group is None or not found or found[user_id].declined:
        raise conversations.unknown_group(GroupAddress(number, host.name))
    return _enter(tx, group, found)


def decline(tx: Connection, host: KnownRealm, number: int, user_id: int) -> GroupChange:
    """Record that a user declined an invitation; the host is still to be notified.

    Raises:
        ChatError: UNKNOWN_GROUP.
    """
    group = find(tx, host, number)
    found = {} if group is None else invitations.of_group(tx, group.id, (user_id,))
    if group is None or not found or found[user_id].declined:
        raise conversations.unknown_group(GroupAddress(number, host.name))
    invitations.decline(tx, group.id, user_id)
    return private_change(group, user_id, users.name_of(tx, user_id), LEFT)


def _hosted(tx: Connection, host: KnownRealm) -> int:
    """Return how many groups of a host are known here."""
    c = conversation_table.c
    return tx.scalar(select(func.count()).where(c.realm_id == host.id)) or 0


def _people(
    tx: Connection, host: KnownRealm, roster: Roster, own_key: bytes, now: int
) -> dict[int, Member]:
    """Return the members in a roster by user id; users of other realms are added if needed."""
    speakers = [member.speaker for member in roster.members]
    own = [s.name for s in speakers if s.key == own_key]
    others = [name_at(s) for s in speakers if s.key != own_key]
    here = users.ids_of_realm(tx, None, own, now)
    elsewhere = users.ids_of_realm(tx, host.id, others, now)
    wanted: dict[int, Member] = {}
    for member in roster.members:
        if member.speaker.key == own_key:
            user_id = here.get(fold(member.speaker.name))
        else:
            user_id = elsewhere[fold(name_at(member.speaker))]
        if user_id is not None:
            wanted[user_id] = member
    return wanted


def withdraw(tx: Connection, host: KnownRealm, number: int) -> GroupChange | None:
    """Delete all invitations to a group; None if the group is unknown here."""
    group = find(tx, host, number)
    if group is None:
        return None
    gone = [
        PersonChange(users.name_of(tx, user_id), REMOVED, (user_id,))
        for user_id in invitations.of_group(tx, group.id)
        if invitations.remove(tx, group.id, user_id)
    ]
    return GroupChange(group, gone)
