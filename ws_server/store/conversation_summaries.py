"""One reader's conversations with their unread counts, for lists and sign-in."""

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
"""Unread counts sent at sign-in, those of the most recently active conversations."""


@dataclass(slots=True)
class Standing:
    """One conversation, as it stands for one reader."""

    id: int
    """The conversation's id."""
    address: str
    name: str | None
    last_seq: int
    read_seq: int
    unread: int
    owner: bool
    other_received_seq: int | None
    other_read_seq: int | None
    hidden_seq: int = 0
    """Messages up to this seq are hidden from the reader."""
    history_from_joining: bool = False
    """New members of the group read only messages sent after they join."""
    invited: bool = False
    """The reader is invited to the group, and not a member."""


_me, _other, _host = members.alias("me"), members.alias("other"), realms.alias("host")
_c = conversations.c
_READER = column("reader", BigInteger)
_ADDRESS = (_c.number, _host.c.name.label("host"), users.address_of().label("other_name"))
_KINDS = {None: true(), True: _c.number.is_not(None), False: _c.number.is_(None)}


class _Row(NamedTuple):
    """The columns selected for a `Standing`."""

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
    """The number of unread messages in a conversation."""

    who: int
    number: int | None
    host: str | None
    other_name: str | None
    unread: int


def _other_id(given: FromClause) -> ColumnElement[int]:
    return case((_c.low_user == given.c.reader, _c.high_user), else_=_c.low_user)


def _here(given: FromClause) -> Join:
    """Return the readers' conversations, joined with a chat's other member and a group's host."""
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
    # The count runs only for conversations with messages after the marker; most have none.
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
    """Return a reader's conversations, the most recently active first; see `timeline`.

    Args:
        only: Restrict the result to these conversations, by id.
        groups: True for groups, False for private chats, None for both. Private chats without
            messages are left out.
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
    """Return the unread counts above 0 by address, the most recently active conversations first."""
    found = yield from ask(_COUNTS, [(reader,)])
    counts = [(_address(row), row.unread) for row in map(_Count._make, found) if row.unread]
    return dict(counts[:MAX_COUNTS])


def sizes(tx: Connection, shown: Iterable[Standing]) -> dict[int, int]:
    """Return the number of members of each of these groups, by id."""
    rows = tx.execute(
        select(members.c.conversation_id, func.count())
        .where(members.c.conversation_id.in_([s.id for s in shown]))
        .group_by(members.c.conversation_id)
    )
    return numbers(rows)


def newest(tx: Connection, reader: int, shown: Iterable[Standing]) -> dict[int, Message]:
    """Return the newest message of each conversation by id, its text cut to PREVIEW characters."""
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
