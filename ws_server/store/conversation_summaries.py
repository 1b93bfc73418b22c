"""Where a reader stands in each conversation: unread counts and lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Join,
    Select,
    and_,
    case,
    column,
    func,
    literal_column,
    select,
    true,
)

from shared.protocol.commands.messages import Message
from shared.protocol.values import GroupAddress
from ws_server.store.accounts import users
from ws_server.store.engines.adapter import Statement
from ws_server.store.federation import outbox_queries
from ws_server.store.markers import numbers
from ws_server.store.message_pages import Range, in_ranges, to_message
from ws_server.store.schema import conversations, members, messages, realms
from ws_server.store.schema import users as user_table
from ws_server.store.steps import WHO, Steps, answer, ask

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
    other_received_seq: int | None
    other_read_seq: int | None
    hidden_seq: int = 0
    """Messages up to this one are not for the reader."""
    history_from_joining: bool = False
    """The same will hold for who joins the group."""
    invited: bool = False
    """One is not in it, but invited."""


_me, _other, _host = members.alias("me"), members.alias("other"), realms.alias("host")
_c = conversations.c
_READER = column("reader", BigInteger)
_ADDRESS = (_c.number, _host.c.name.label("host"), users.address_of().label("other_name"))
_KINDS = {None: true(), True: _c.number.is_not(None), False: _c.number.is_(None)}


class _Row(NamedTuple):
    """What is asked for a `Standing`."""

    who: int
    id: int
    number: int | None
    host: str | None
    other_name: str | None
    name: str | None
    last_seq: int
    read_seq: int
    unread: int
    owner: bool
    other_received: int | None
    other_read: int | None
    hidden_seq: int
    history_from_joining: bool


class _Count(NamedTuple):
    """The unread messages of a conversation."""

    who: int
    number: int | None
    host: str | None
    other_name: str | None
    unread: int


def _other_id(given: FromClause) -> ColumnElement[int]:
    return case((_c.low_user == given.c.reader, _c.high_user), else_=_c.low_user)


def _here(given: FromClause) -> Join:
    """Return the conversations of readers, with the other person of a chat and a group's host."""
    return (
        given.join(_me, _me.c.user_id == given.c.reader)
        .join(conversations, _c.id == _me.c.conversation_id)
        .outerjoin(user_table, user_table.c.id == _other_id(given))
        .outerjoin(realms, realms.c.id == user_table.c.realm_id)
        .outerjoin(_host, _host.c.id == _c.realm_id)
    )


def _unread(given: FromClause) -> ColumnElement[int]:
    return (
        select(func.count())
        .where(
            messages.c.conversation_id == _c.id,
            messages.c.seq > _me.c.read_seq,
            messages.c.sender_id != given.c.reader,
        )
        .correlate(conversations, _me, given)
        .scalar_subquery()
    )


def _standings(given: FromClause) -> Select[Any]:
    other_id = _other_id(given)
    # Most conversations are read to their end, and of those no message is looked at.
    unread = case((_c.last_seq > _me.c.read_seq, _unread(given)), else_=literal_column("0"))
    here = _here(given).outerjoin(
        _other, and_(_other.c.conversation_id == _c.id, _other.c.user_id == other_id)
    )
    return (
        select(
            *(given.c.who, _c.id, *_ADDRESS, _c.name, _c.last_seq, _me.c.read_seq, unread),
            *(_me.c.owner, _other.c.received_seq, _other.c.read_seq),
            *(_me.c.hidden_seq, _c.history_from_joining),
        )
        .select_from(here)
        .where(_c.number.is_not(None) | (_c.last_seq > literal_column("0")))
        .order_by(_c.activity.desc())
    )


def _all_of(kind: ColumnElement[bool]) -> Statement:
    return Statement((WHO, _READER), lambda given: _standings(given).where(kind), each=True)


def _some_of(kind: ColumnElement[bool]) -> Statement:
    return Statement(
        (WHO, _READER, column("conversation", BigInteger)),
        lambda given: _standings(given).where(kind, _c.id == given.c.conversation),
    )


_ALL = {groups: _all_of(kind) for groups, kind in _KINDS.items()}
_SOME = {groups: _some_of(kind) for groups, kind in _KINDS.items()}
_COUNTS = Statement(
    (WHO, _READER),
    lambda given: (
        select(given.c.who, *_ADDRESS, _unread(given))
        .select_from(_here(given))
        .where(_c.last_seq > _me.c.read_seq)
        .order_by(_c.activity.desc())
    ),
    each=True,
)


def standings(
    reader: int,
    *,
    groups: bool | None = None,
    only: Collection[int] | None = None,
) -> Steps[list[Standing]]:
    """Return a reader's conversations, that of the last message first; see `timeline`.

    Args:
        only: Only those of these conversations, by id, in any order.
        groups: Only groups, only private chats, or None for both. Private chats in which nothing
            was written are left out.
    """
    if only is None:
        found = yield from ask(_ALL[groups], [(reader,)])
    else:
        found = yield from ask(_SOME[groups], [(reader, id) for id in only])
    return [
        Standing(
            row.id,
            _address(row),
            row.name,
            row.last_seq,
            row.read_seq,
            row.unread,
            bool(row.owner),
            row.other_received,
            row.other_read,
            row.hidden_seq,
            bool(row.history_from_joining),
        )
        for row in map(_Row._make, found)
    ]


def _address(row: _Row | _Count) -> str:
    if row.number is None:
        return str(row.other_name)
    return str(GroupAddress(row.number, row.host or ""))


def unread(reader: int) -> Steps[dict[str, int]]:
    """Return the unread messages by conversation, only counts above 0, the newest ones first."""
    found = yield from ask(_COUNTS, [(reader,)])
    counts = [(_address(row), row.unread) for row in map(_Count._make, found) if row.unread]
    return dict(counts[:MAX_COUNTS])


def sizes(tx: Connection, shown: Iterable[Standing]) -> dict[int, int]:
    """Return how many members each of these groups has."""
    rows = tx.execute(
        select(members.c.conversation_id, func.count())
        .where(members.c.conversation_id.in_([s.id for s in shown]))
        .group_by(members.c.conversation_id)
    )
    return numbers(rows)


def newest(tx: Connection, reader: int, shown: Iterable[Standing]) -> dict[int, Message]:
    """Return the newest message of each conversation, its text cut to PREVIEW characters."""
    written = {s.id: s for s in shown if s.last_seq > s.hidden_seq}
    away = [s.id for s in written.values() if "@" in s.address and s.name is None]
    states = outbox_queries.states(tx, away)
    last: dict[int, Message] = {}
    ranges = [Range(s.id, s.last_seq - 1, s.last_seq) for s in written.values()]
    for row in answer(tx, in_ranges(ranges)):
        message = to_message(row, reader, written[row.conversation_id].address, states)
        if len(message.text) > PREVIEW:
            message.text = message.text[: PREVIEW - 1] + "…"
        last[row.conversation_id] = message
    return last
