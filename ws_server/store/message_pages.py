"""Messages as their readers see them, page by page."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    column,
    select,
)

from shared.protocol.commands.messages import Message
from shared.protocol.values import in_words
from ws_server.store.accounts.users import address_of
from ws_server.store.conversations import Conversation
from ws_server.store.engines.adapter import Statement
from ws_server.store.federation import outbox, outbox_queries
from ws_server.store.groups import group_history
from ws_server.store.message_content import COLUMNS, FILE_COLUMNS, from_row, shown
from ws_server.store.schema import files, messages, realms, users
from ws_server.store.steps import WHO, Steps, ask

PAGE_BYTES = 512 * 1024
"""Bytes of text after which a page ends, so that it fits one frame."""

NO_STATES: Mapping[tuple[int, int], str] = {}
_COLUMNS = (
    messages.c.id,
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.sender_id,
    address_of().label("sender"),
    messages.c.time,
    *COLUMNS,
    *FILE_COLUMNS,
)


_Row: Any = namedtuple("Row", [WHO.name, *(c.key for c in _COLUMNS)])  # type: ignore[misc]


def _select(source: FromClause, *first: ColumnElement[Any]) -> Select[Any]:
    """Return the query for the columns of messages from a source."""
    return select(*first, *_COLUMNS).select_from(
        source.join(users, users.c.id == messages.c.sender_id)
        .outerjoin(realms, realms.c.id == users.c.realm_id)
        .outerjoin(files, files.c.id == messages.c.file_id)
    )


MESSAGE = _select(messages)


class Range(NamedTuple):
    """A range of messages in one conversation: `after` is exclusive, `last` inclusive."""

    conversation_id: int
    after: int
    last: int


def _in_ranges(given: FromClause) -> Select[Any]:
    m = messages.c
    here = and_(
        m.conversation_id == given.c.conversation_id,
        m.seq > given.c.after,
        m.seq <= given.c.last,
    )
    return _select(given.join(messages, here), given.c.who)


RANGES = Statement((WHO, *(column(name, BigInteger) for name in Range._fields)), _in_ranges)


def in_ranges(ranges: Sequence[Range]) -> Steps[list[Any]]:
    """Return the messages in these ranges as rows of `MESSAGE`, in any order."""
    found = yield from ask(RANGES, ranges)
    return list(map(_Row._make, found))


@dataclass(slots=True)
class Found:
    """One page of messages, oldest first."""

    messages: list[Message] = field(default_factory=list)
    more: bool = False


def to_message(
    row: Any, reader: int, conversation: str, states: Mapping[tuple[int, int], str] = NO_STATES
) -> Message:
    """Return a message as its reader sees it.

    Args:
        states: Delivery states by (conversation id, seq); see `outbox_queries.states`.
    """
    state = _state(row, conversation, states) if row.sender_id == reader else None
    content = from_row(row)
    return shown(Message, row.id, conversation, row.seq, row.sender, row.time, content, state)


def _state(row: Any, conversation: str, states: Mapping[tuple[int, int], str]) -> str:
    if "@" not in conversation or conversation.startswith("#"):
        return outbox.STORED
    return states.get((row.conversation_id, row.seq), outbox.DELIVERED)


def size_on_wire(message: Message) -> int:
    """Return the approximate bytes of a message in a frame, in the longer of the two dialects."""
    text = message.text if message.file is None else message.file.name
    size = len(orjson.dumps(text))
    if (escaped := in_words(text)) != text:
        size = max(size, len(escaped.encode()))
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

    Group messages hidden from the reader are left out; see `group_history`.

    Args:
        before: Exclusive; not together with `after`.
        after: Exclusive; 0 begins with the first message.
        limit: Most messages. A page also ends at PAGE_BYTES.
    """
    query = MESSAGE.where(messages.c.conversation_id == conversation.id)
    if conversation.number is not None:
        query = query.where(messages.c.seq > group_history.hidden(conversation.id, reader))
    if after is not None:
        query = query.where(messages.c.seq > after).order_by(messages.c.seq)
    else:
        if before is not None:
            query = query.where(messages.c.seq < before)
        query = query.order_by(messages.c.seq.desc())
    address = conversation.address(reader)
    away = conversation.number is None and conversation.realms
    states = outbox_queries.states(tx, (conversation.id,)) if away else NO_STATES
    found = Found()
    size = 0
    for row in tx.execute(query.limit(limit + 1)):
        message = to_message(row, reader, address, states)
        size += size_on_wire(message)
        if len(found.messages) == limit or (size > PAGE_BYTES and found.messages):
            found.more = True
            break
        found.messages.append(message)
    if after is None:
        found.messages.reverse()
    return found
