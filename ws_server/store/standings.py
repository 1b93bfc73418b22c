"""Where a reader stands in each conversation: unread counts and lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, bindparam, case, func, select, true

from shared.protocol.commands.messages import Message
from shared.protocol.values import GroupAddress
from ws_server.store import users, waiting
from ws_server.store.compiled import Compiled
from ws_server.store.markers import numbers
from ws_server.store.pages import Range, in_ranges, to_message
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
    other_received_seq: int | None
    other_read_seq: int | None


_me, _other, _host = members.alias("me"), members.alias("other"), realms.alias("host")
_c = conversations.c
_reader = bindparam("reader", type_=BigInteger)
_other_id = case((_c.low_user == _reader, _c.high_user), else_=_c.low_user)
_HERE = (
    _me.join(conversations, _c.id == _me.c.conversation_id)
    .outerjoin(user_table, user_table.c.id == _other_id)
    .outerjoin(realms, realms.c.id == user_table.c.realm_id)
    .outerjoin(_host, _host.c.id == _c.realm_id)
)
_ADDRESS = (_c.number, _host.c.name.label("host"), users.address_of().label("other_name"))
_UNREAD = (
    select(func.count())
    .where(
        messages.c.conversation_id == _c.id,
        messages.c.seq > _me.c.read_seq,
        messages.c.sender_id != _reader,
    )
    .scalar_subquery()
)
# Most conversations are read to their end, and of those no message is looked at.
_UNREAD_IF_ANY = case((_c.last_seq > _me.c.read_seq, _UNREAD), else_=0)
_STANDINGS = (
    select(
        _c.id,
        *_ADDRESS,
        _c.name,
        _c.last_seq,
        _me.c.read_seq,
        _UNREAD_IF_ANY.label("unread"),
        _me.c.owner,
        _other.c.received_seq.label("other_received"),
        _other.c.read_seq.label("other_read"),
    )
    .select_from(
        _HERE.outerjoin(
            _other, and_(_other.c.conversation_id == _c.id, _other.c.user_id == _other_id)
        )
    )
    .where(_me.c.user_id == _reader)
    .where(_c.number.is_not(None) | (_c.last_seq > 0))
    .order_by(_c.activity.desc())
)
_KINDS = {None: true(), True: _c.number.is_not(None), False: _c.number.is_(None)}
_QUESTIONS = {groups: Compiled(_STANDINGS.where(kind)) for groups, kind in _KINDS.items()}
_COUNTS = Compiled(
    select(*_ADDRESS, _UNREAD.label("unread"))
    .select_from(_HERE)
    .where(_me.c.user_id == _reader, _c.last_seq > _me.c.read_seq)
    .order_by(_c.activity.desc())
)


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
    if only is None:
        rows = _QUESTIONS[groups].rows(tx, reader=reader)
    else:
        question = _STANDINGS.where(_KINDS[groups], _c.id.in_(only))
        rows = list(tx.execute(question, {"reader": reader}))
    return [
        Standing(
            row.id,
            _address(row),
            row.name,
            row.last_seq,
            row.read_seq,
            row.unread,
            row.owner,
            row.other_received,
            row.other_read,
        )
        for row in rows
    ]


def _address(row: Any) -> str:
    if row.number is None:
        return str(row.other_name)
    return str(GroupAddress(row.number, row.host or ""))


def unread(tx: Connection, reader: int) -> dict[str, int]:
    """Return the unread messages by conversation, only counts above 0, the newest ones first."""
    rows = _COUNTS.rows(tx, reader=reader)
    counts = [(_address(row), row.unread) for row in rows if row.unread]
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
    written = {s.id: s for s in shown if s.last_seq}
    away = [s.id for s in written.values() if "@" in s.address and s.name is None]
    states = waiting.states(tx, away)
    last: dict[int, Message] = {}
    for row in in_ranges(tx, [Range(s.id, s.last_seq - 1, s.last_seq) for s in written.values()]):
        message = to_message(row, reader, written[row.conversation_id].address, states)
        if len(message.text) > PREVIEW:
            message.text = message.text[: PREVIEW - 1] + "…"
        last[row.conversation_id] = message
    return last
