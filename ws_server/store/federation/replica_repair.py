"""Reconciling replicas with their hosts, which may have been rolled back or lost.

A host restored from a backup has lost all later messages, for every realm. A host that has lost its
database may assign a group's number to another group.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from ws_server.store import conversations
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.federation.replicas import find
from ws_server.store.groups.group_changes import REMOVED, GroupChange, PersonChange
from ws_server.store.message_content import COLUMNS, NAMES
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import invitations, members, messages, outbox, posts
from ws_server.store.schema import users as user_table


@dataclass(frozen=True, slots=True)
class GroupPosition:
    """The position of a group's roster and history."""

    group: int
    version: int
    last_seq: int
    missing: int = 0
    """Messages up to this seq may be missing here."""


def positions(tx: Connection, host_id: int) -> dict[int, GroupPosition]:
    """Return the positions of a host's groups that have local members, by number."""
    c, m = conversation_table.c, members.c
    inside = select(m.conversation_id).join(user_table, user_table.c.id == m.user_id)
    rows = tx.execute(
        select(c.number, c.version, c.last_seq, c.missing_seq)
        .where(c.realm_id == host_id)
        .where(c.id.in_(inside.where(user_table.c.realm_id.is_(None))))
    )
    return {number: GroupPosition(number, *rest) for number, *rest in rows}


def known_numbers(tx: Connection, host_id: int, numbers: Collection[int]) -> set[int]:
    """Return which of these group numbers of a host are known here."""
    c = conversation_table.c
    found = select(c.number).where(c.realm_id == host_id, c.number.in_(numbers))
    return set(tx.scalars(found))


def id_at(tx: Connection, host_id: int, number: int, seq: int) -> str | None:
    """Return the id of the message at a seq of a group; None if it is not stored."""
    c = conversation_table.c
    return tx.scalar(
        select(messages.c.id)
        .join(conversation_table, c.id == messages.c.conversation_id)
        .where(c.realm_id == host_id, c.number == number, messages.c.seq == seq)
    )


def rewind(tx: Connection, host: KnownRealm, number: int, seq: int) -> None:
    """Delete a group's messages after a seq, and set its version to 0, so any roster replaces it.

    Posts of local users that the host has not acknowledged become pending again.
    """
    group = find(tx, host, number)
    if group is None:
        return
    m = messages.c
    waiting = select(outbox.c.body).where(
        outbox.c.realm_id == host.id, outbox.c.conversation_id == group.id, outbox.c.kind == "post"
    )
    tx.execute(
        insert(posts).from_select(
            ["id", "conversation_id", "sender_id", "time", "idempotency_key", *NAMES],
            select(
                *(m.id, m.conversation_id, m.sender_id, m.time, m.idempotency_key, *COLUMNS)
            ).where(
                m.conversation_id == group.id,
                m.seq > seq,
                m.id.in_(waiting),
                m.sender_id.in_(select(user_table.c.id).where(user_table.c.realm_id.is_(None))),
            ),
        )
    )
    mine = members.c.conversation_id == group.id
    tx.execute(delete(messages).where(m.conversation_id == group.id, m.seq > seq))
    newest = (
        select(m.time).where(m.conversation_id == group.id).order_by(m.seq.desc()).limit(1)
    ).scalar_subquery()
    tx.execute(
        update(conversation_table)
        .where(conversation_table.c.id == group.id)
        .values(last_seq=min(group.last_seq, seq), last_time=func.coalesce(newest, 0), version=0)
    )
    missing = conversation_table.c.missing_seq
    behind = and_(conversation_table.c.id == group.id, missing > seq)
    tx.execute(update(conversation_table).where(behind).values(missing_seq=seq))
    m = members.c
    for mark in (m.joined_seq, m.read_seq, m.received_seq, m.hidden_seq):
        tx.execute(update(members).where(mine, mark > seq).values({mark: seq}))


def abandon(tx: Connection, host: KnownRealm, here: GroupPosition) -> GroupChange | None:
    """Remove all local members from a group, unless it has changed since `here` was read.

    The host may have lost the group and may assign its number to another one, whose members must
    not read this history. The replica is therefore detached from the number.
    """
    group = find(tx, host, here.group)
    if group is None or group.version != here.version:
        return None
    gone = [user_id for user_id, member in group.members.items() if member.realm_id is None]
    this = and_(members.c.conversation_id == group.id, members.c.user_id.in_(gone))
    tx.execute(delete(members).where(this))
    tx.execute(delete(invitations).where(invitations.c.conversation_id == group.id))
    updated = conversations.load(tx, id=group.id)
    assert updated is not None
    c = conversation_table.c
    tx.execute(update(conversation_table).where(c.id == group.id).values(number=-group.id))
    told = set(group.members)
    left = [PersonChange(group.members[id].name, REMOVED, told) for id in gone]
    return GroupChange(updated, left, members_changed=True)


_APART = 1 << 52
"""More than twice the highest group number, which has 15 digits."""


def change_hosts(tx: Connection, one_id: int, other_id: int) -> None:
    """Swap the groups of two hosts that swap keys: each group belongs to a key.

    The groups that `one` hosts afterwards get version 0, so any roster replaces them: their members
    were stored under names of the other realm.
    """
    c = conversation_table.c
    change = update(conversation_table)
    tx.execute(change.where(c.realm_id == one_id).values(number=c.number + _APART))
    tx.execute(change.where(c.realm_id == other_id).values(realm_id=one_id, version=0))
    moved = change.where(c.realm_id == one_id, c.number > _APART // 2)
    tx.execute(moved.values(realm_id=other_id, number=c.number - _APART))


def part(tx: Connection, host: KnownRealm, number: int, user_id: int) -> bool:
    """Remove a local member from a group whose host is gone; return whether they were in it."""
    group = find(tx, host, number)
    if group is None or user_id not in group.members:
        return False
    m = members.c
    tx.execute(delete(members).where(m.conversation_id == group.id, m.user_id == user_id))
    return True
