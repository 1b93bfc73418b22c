"""Reading messages back: pages, markers, unread counts, lists and catching up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, and_, func, select, update

from shared.protocol.commands.messages import FileInfo, Message
from shared.protocol.values import Address, fold, in_words
from shared.protocol.values import Conversation as ConversationAddress
from ws_server.store.conversations import Conversation
from ws_server.store.schema import conversations, files, members, messages, users

PAGE_BYTES = 512 * 1024
"""A page ends at this many bytes of text, so that it fits a frame."""
LIST_BYTES = 768 * 1024
PREVIEW = 256
"""Characters of the newest message shown in a list of conversations."""
POSITION_BYTES = 384 * 1024
"""Bytes of positions in one answer to sync, beside PAGE_BYTES of messages."""
MAX_COUNTS = 5_000
"""Unread counts told at sign-in, those of the newest conversations."""
SYNC_MESSAGES = 500
"""Most messages in one answer to sync."""

_MESSAGE = select(
    messages.c.id,
    messages.c.seq,
    messages.c.sender_id,
    users.c.name.label("sender"),
    messages.c.time,
    messages.c.text,
    messages.c.file_id,
    files.c.name.label("file_name"),
    files.c.size,
    files.c.type,
    files.c.sha256,
).select_from(
    messages.join(users, users.c.id == messages.c.sender_id).outerjoin(
        files, files.c.id == messages.c.file_id
    )
)


@dataclass(slots=True)
class Found:
    """One page of messages, oldest first."""

    messages: list[Message] = field(default_factory=list)
    more: bool = False


def _message(row: Any, reader: int, conversation: str) -> Message:
    file = None
    if row.file_id is not None:
        file = FileInfo(row.file_id, row.file_name, row.size, row.type, row.sha256)
    return Message(
        row.id,
        conversation,
        row.seq,
        row.sender,
        row.time,
        row.text,
        file,
        "stored" if row.sender_id == reader else None,
    )


def size_on_wire(message: Message) -> int:
    """Return about how many bytes a message takes in a frame, in the longer of both dialects."""
    text = message.text if message.file is None else message.file.name
    size = len(orjson.dumps(text))
    if not text.isprintable():
        size = max(size, len(in_words(text).encode()))
    return size + 300


def page(
    tx: Connection,
    reader: int,
    conversation: Conversation,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int,
) -> Found:
    """Return messages below `before`, above `after`, or the newest ones; oldest first.

    Args:
        before: Exclusive; not together with `after`.
        after: Exclusive; 0 begins with the first message.
        limit: Most messages. A page also ends at PAGE_BYTES.
    """
    query = _MESSAGE.where(messages.c.conversation_id == conversation.id)
    if after is not None:
        query = query.where(messages.c.seq > after).order_by(messages.c.seq)
    else:
        if before is not None:
            query = query.where(messages.c.seq < before)
        query = query.order_by(messages.c.seq.desc())
    address = conversation.address(reader)
    found = Found()
    size = 0
    for row in tx.execute(query.limit(limit + 1)):
        message = _message(row, reader, address)
        size += size_on_wire(message)
        if len(found.messages) == limit or (size > PAGE_BYTES and found.messages):
            found.more = True
            break
        found.messages.append(message)
    if after is None:
        found.messages.reverse()
    return found


@dataclass(slots=True)
class Markers:
    """One member's markers in one conversation."""

    read_seq: int = 0
    received_seq: int = 0
    changed: bool = False


def mark(
    tx: Connection,
    user_id: int,
    conversation: Conversation,
    *,
    read: int = 0,
    received: int = 0,
) -> Markers:
    """Move one's markers forward; they never go back nor beyond the last message.

    Reading implies receiving.
    """
    mine = and_(members.c.conversation_id == conversation.id, members.c.user_id == user_id)
    row = tx.execute(
        select(members.c.read_seq, members.c.received_seq, conversations.c.last_seq)
        .join(conversations, conversations.c.id == members.c.conversation_id)
        .where(mine)
    ).first()
    if row is None:  # left the group in the meantime
        return Markers()
    old_read, old_received, last_seq = row
    new_read = max(old_read, min(read, last_seq))
    new_received = max(old_received, min(received, last_seq), new_read)
    changed = (new_read, new_received) != (old_read, old_received)
    if changed:
        tx.execute(update(members).where(mine).values(read_seq=new_read, received_seq=new_received))
    return Markers(new_read, new_received, changed)


def read_seq(tx: Connection, user_id: int, conversation: Conversation) -> int:
    """Return one's own read marker."""
    mine = select(members.c.read_seq).where(
        members.c.conversation_id == conversation.id, members.c.user_id == user_id
    )
    return tx.scalar(mine) or 0


def _numbers(rows: Iterable[Row[int, int]]) -> dict[int, int]:
    """Return rows of an id and a number as a dictionary."""
    return {id: number for id, number in rows}  # noqa: C416 - rows are no pairs to mypy


def read_marks(tx: Connection, conversation: Conversation) -> dict[int, int]:
    """Return each member's read marker by user id."""
    rows = tx.execute(
        select(members.c.user_id, members.c.read_seq).where(
            members.c.conversation_id == conversation.id
        )
    )
    return _numbers(rows)


@dataclass(slots=True)
class Standing:
    """Where one reader stands in one conversation."""

    conversation_id: int
    address: str
    name: str | None
    last_seq: int
    read_seq: int
    unread: int
    owner: bool
    members: int
    other_received_seq: int | None
    other_read_seq: int | None


def standings(tx: Connection, reader: int, *, groups: bool | None = None) -> list[Standing]:
    """Return a reader's conversations, the one with the newest message first.

    Args:
        groups: Only groups, only private chats, or None for both. Private chats in which nothing
            was written are left out.
    """
    me, other = members.alias("me"), members.alias("other")
    c = conversations.c
    newest = (
        select(messages.c.time)
        .where(messages.c.conversation_id == c.id, messages.c.seq == c.last_seq)
        .scalar_subquery()
    )
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
            users.c.name.label("other_name"),
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
            .outerjoin(users, users.c.id == other.c.user_id)
        )
        .where(me.c.user_id == reader)
        .where(c.number.is_not(None) | (c.last_seq > 0))
        .order_by(func.coalesce(newest, c.created).desc(), c.id.desc())
    )
    if groups is not None:
        query = query.where(c.number.is_not(None) if groups else c.number.is_(None))
    rows = tx.execute(query).all()
    unread = _unread(tx, reader)
    sizes = _sizes(tx, reader) if groups is not False else {}
    return [
        Standing(
            conversation_id=row.id,
            address=row.other_name if row.number is None else f"#{row.number}",
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
    return _numbers(rows)


def _sizes(tx: Connection, reader: int) -> dict[int, int]:
    mine = select(members.c.conversation_id).where(members.c.user_id == reader)
    rows = tx.execute(
        select(members.c.conversation_id, func.count())
        .where(members.c.conversation_id.in_(mine))
        .group_by(members.c.conversation_id)
    )
    return _numbers(rows)


def unread(tx: Connection, reader: int) -> dict[str, int]:
    """Return the unread messages by conversation, only counts above 0, the newest ones first."""
    counts = [(s.address, s.unread) for s in standings(tx, reader) if s.unread]
    return dict(counts[:MAX_COUNTS])


def newest(tx: Connection, reader: int, shown: Iterable[Standing]) -> dict[int, Message]:
    """Return the newest message of each conversation, its text cut to PREVIEW characters."""
    addresses = {s.conversation_id: s.address for s in shown if s.last_seq}
    last: dict[int, Message] = {}
    ids = list(addresses)
    for at in range(0, len(ids), 500):
        some = ids[at : at + 500]
        rows = tx.execute(
            _MESSAGE.add_columns(messages.c.conversation_id)
            .join(
                conversations,
                and_(
                    conversations.c.id == messages.c.conversation_id,
                    conversations.c.last_seq == messages.c.seq,
                ),
            )
            .where(conversations.c.id.in_(some))
        )
        for row in rows:
            message = _message(row, reader, addresses[row.conversation_id])
            if len(message.text) > PREVIEW:
                message.text = message.text[: PREVIEW - 1] + "…"
            last[row.conversation_id] = message
    return last


@dataclass(slots=True)
class Missed:
    """What a reader has not got."""

    standings: list[Standing]
    messages: list[Message]
    more: bool
    recovered: bool


def missed(tx: Connection, reader: int, have: dict[ConversationAddress, int]) -> Missed:
    """Return what came after `have`, one page of it, in the order of its times.

    A page takes whole beginnings: of each conversation in it, the oldest missed messages without
    a gap. `recovered` is false if `have` is ahead of the history, which then is another one.
    """
    all_of_them = standings(tx, reader)
    known = {fold(s.address): s for s in all_of_them}
    positions = {fold(_here(address)): seq for address, seq in have.items()}
    for address, seq in positions.items():
        standing = known.get(address)
        ahead = seq > standing.last_seq if standing else seq > 0 and not address.startswith("#")
        if ahead:
            return Missed(all_of_them, [], False, False)
    found: list[tuple[int, Message]] = []
    size = 0
    more = False
    for standing in all_of_them:
        after = positions.get(fold(standing.address), 0)
        if after >= standing.last_seq:
            continue
        if len(found) >= SYNC_MESSAGES or size >= PAGE_BYTES:
            more = True
            break
        time = 0
        rows = tx.execute(
            _MESSAGE.where(_above(standing.conversation_id, after))
            .order_by(messages.c.seq)
            .limit(SYNC_MESSAGES - len(found))
        )
        for row in rows:
            if size >= PAGE_BYTES:
                break
            message = _message(row, reader, standing.address)
            # A clock that was set back must not part time and seq.
            time = max(time, message.time)
            found.append((time, message))
            size += size_on_wire(message)
            after = row.seq
        rows.close()
        more = more or after < standing.last_seq
    found.sort(key=itemgetter(0))
    return Missed(all_of_them, [message for _, message in found], more, True)


def told(positions: list[Standing]) -> list[Standing]:
    """Return the first of these that fit one answer beside a page of messages."""
    size = 0
    for count, standing in enumerate(positions):
        size += 220 + len(orjson.dumps(standing.name))
        if size > POSITION_BYTES:
            return positions[:count]
    return positions


def _here(address: ConversationAddress) -> str:
    return address.user if isinstance(address, Address) and not address.realm else str(address)


def _above(conversation_id: int, seq: int) -> ColumnElement[bool]:
    return and_(messages.c.conversation_id == conversation_id, messages.c.seq > seq)
