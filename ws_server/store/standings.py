"""Where a reader stands in each conversation: unread counts and lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from shared.protocol.commands.messages import Message
from shared.protocol.values import GroupAddress
from ws_server.store import users, waiting
from ws_server.store.markers import numbers
from ws_server.store.pages import MESSAGE, to_message
from ws_server.store.schema import conversations, members, messages, realms
from ws_server.store.schema import users as user_table

PREVIEW = 256
"""Characters of the newest message shown in a list of conversations."""

MAX_COUNTS = 5_000
"""Unread counts told at sign-in, those of the newest conversations."""


@dataclass(slots=True)
class Standing:
    """Where one reader stands in one conversation."""

    id: int
    """Of the conversation."""
    address: str
    name: str | None
    last_seq: int
    read_seq: int
    unread: int
    owner: bool
    members: int
    other_received_seq: int | None
    other_read_seq: int | None


def standings(
    tx: Connection,
    reader: int,
    *,
    groups: bool | None = None,
    only: Collection[int] | None = None,
) -> list[Standing]:
    """Return a reader's conversations, that of the last message first; see `timeline`.

    Args:
        only: Only those of these conversations, by id.
        groups: Only groups, only private chats, or None for both. Private chats in which nothing
            was written are left out.
    """
    me, other, host = members.alias("me"), members.alias("other"), realms.alias("host")
    c = conversations.c
    query = (
        select(
            c.id,
            c.number,
            c.name,
            c.last_seq,
            me.c.read_seq,
            me.c.owner,
            other.c.received_seq.label("other_received"),
            other.c.read_seq.label("other_read"),
            users.address_of().label("other_name"),
            host.c.name.label("host"),
        )
        .select_from(
            me.join(conversations, c.id == me.c.conversation_id)
            .outerjoin(
                other,
                and_(
                    c.number.is_(None),
                    other.c.conversation_id == c.id,
                    (other.c.user_id != reader) | (c.low_user == c.high_user),
                ),
            )
            .outerjoin(user_table, user_table.c.id == other.c.user_id)
            .outerjoin(realms, realms.c.id == user_table.c.realm_id)
            .outerjoin(host, host.c.id == c.realm_id)
        )
        .where(me.c.user_id == reader)
        .where(c.number.is_not(None) | (c.last_seq > 0))
        .order_by(c.activity.desc())
    )
    if groups is not None:
        query = query.where(c.number.is_not(None) if groups else c.number.is_(None))
    if only is not None:
        query = query.where(c.id.in_(only))
    rows = tx.execute(query).all()
    unread = _unread(tx, reader)
    sizes = _sizes(tx, reader) if groups is not False else {}
    return [
        Standing(
            id=row.id,
            address=row.other_name
            if row.number is None
            else str(GroupAddress(row.number, row.host or "")),
            name=row.name,
            last_seq=row.last_seq,
            read_seq=row.read_seq,
            unread=unread.get(row.id, 0),
            owner=row.owner,
            members=sizes.get(row.id, 2),
            other_received_seq=row.other_received,
            other_read_seq=row.other_read,
        )
        for row in rows
    ]


def _unread(tx: Connection, reader: int) -> dict[int, int]:
    """Count, from the markers, others' messages that the reader has not read."""
    rows = tx.execute(
        select(messages.c.conversation_id, func.count())
        .select_from(
            members.join(
                conversations,
                and_(
                    conversations.c.id == members.c.conversation_id,
                    conversations.c.last_seq > members.c.read_seq,
                ),
            ).join(
                messages,
                and_(
                    messages.c.conversation_id == members.c.conversation_id,
                    messages.c.seq > members.c.read_seq,
                    messages.c.sender_id != reader,
                ),
            )
        )
        .where(members.c.user_id == reader)
        .group_by(messages.c.conversation_id)
    )
    return numbers(rows)


def _sizes(tx: Connection, reader: int) -> dict[int, int]:
    mine = select(members.c.conversation_id).where(members.c.user_id == reader)
    rows = tx.execute(
        select(members.c.conversation_id, func.count())
        .where(members.c.conversation_id.in_(mine))
        .group_by(members.c.conversation_id)
    )
    return numbers(rows)


def unread(tx: Connection, reader: int) -> dict[str, int]:
    """Return the unread messages by conversation, only counts above 0, the newest ones first."""
    counts = [(s.address, s.unread) for s in standings(tx, reader) if s.unread]
    return dict(counts[:MAX_COUNTS])


def newest(tx: Connection, reader: int, shown: Iterable[Standing]) -> dict[int, Message]:
    """Return the newest message of each conversation, its text cut to PREVIEW characters."""
    addresses = {s.id: s.address for s in shown if s.last_seq}
    last: dict[int, Message] = {}
    ids = list(addresses)
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        states = waiting.states(tx, some)
        rows = tx.execute(
            MESSAGE.join(
                conversations,
                and_(
                    conversations.c.id == messages.c.conversation_id,
                    conversations.c.last_seq == messages.c.seq,
                ),
            ).where(conversations.c.id.in_(some))
        )
        for row in rows:
            message = to_message(row, reader, addresses[row.conversation_id], states)
            if len(message.text) > PREVIEW:
                message.text = message.text[: PREVIEW - 1] + "…"
            last[row.conversation_id] = message
    return last
