"""The statements of the hot path, each for many rows; see `Bulk` for their execution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    column,
    select,
    update,
)

from ws_server.store.engines.adapter import Columns, Rows, Statement, bulk_of
from ws_server.store.message_content import COLUMNS, POST_COLUMNS
from ws_server.store.schema import conversations, messages, outbox, posts

MESSAGE = (
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.id,
    messages.c.sender_id,
    messages.c.time,
    messages.c.idempotency_key,
    messages.c.origin_seq,
    *COLUMNS,
)
"""The columns of a new message."""
POST = (
    posts.c.id,
    posts.c.conversation_id,
    posts.c.sender_id,
    posts.c.time,
    posts.c.idempotency_key,
    *POST_COLUMNS,
)
"""The columns of a post pending for its host."""
OUTBOX = (
    outbox.c.realm_id,
    outbox.c.number,
    outbox.c.kind,
    outbox.c.conversation_id,
    outbox.c.seq,
    outbox.c.body,
    outbox.c.since,
)
"""The columns of a new outbox row."""


def _by_key(table: Table, *columns: ColumnElement[Any]) -> Statement:
    """Return the statement that reads rows of a table by sender and idempotency key."""
    key = table.c.idempotency_key
    # A join with the keys seeks each one in the index; for `(sender_id, key) IN (...)`, SQLite
    # 3.40 scans it. The index is partial, so the planner needs the IS NOT NULL to use it.
    return Statement(
        (column("sender", BigInteger), column("key", String)),
        lambda given: (
            select(table.c.sender_id, key, *columns)
            .select_from(given)
            .join(table, and_(table.c.sender_id == given.c.sender, key == given.c.key))
            .where(key.is_not(None))
        ),
    )


KEYED = _by_key(
    messages,
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.id,
    messages.c.time,
    *COLUMNS,
)
"""The original of a repeated message."""
POSTED = _by_key(
    posts, posts.c.conversation_id, posts.c.refused, posts.c.id, posts.c.time, *POST_COLUMNS
)
"""The original of a repeated message, if it is a post."""
Move = tuple[int, int, int, int, int, int]
"""A conversation's id, version and last_seq, then its new last_seq, last_time and activity."""
MOVE = Statement(
    tuple(column(name, BigInteger) for name in ("id", "version", "old", "new", "time", "activity")),
    lambda given: (
        update(conversations)
        .values(last_seq=given.c.new, last_time=given.c.time, activity=given.c.activity)
        .where(
            conversations.c.id == given.c.id,
            conversations.c.version == given.c.version,
            conversations.c.last_seq == given.c.old,
        )
    ),
)


def ask(tx: Connection, statement: Statement, rows: Rows) -> Sequence[Any]:
    """Return the rows that a statement returns for these input rows, in no order."""
    return bulk_of(tx).ask(tx, statement, rows) if rows else ()


def find_keys(tx: Connection, keys: Sequence[tuple[int, str]]) -> Sequence[Any]:
    """Return the rows of `KEYED` for these (sender, key)."""
    return ask(tx, KEYED, keys)


def find_posts(tx: Connection, keys: Sequence[tuple[int, str]]) -> Sequence[Any]:
    """Return the rows of `POSTED` for these (sender, key)."""
    return ask(tx, POSTED, keys)


def used_keys(tx: Connection, keys: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those of these (sender, key) under which a message is stored."""
    return {(sender, key) for sender, key, *_ in find_keys(tx, keys)}


def insert(tx: Connection, columns: Columns, rows: Rows) -> None:
    """Insert rows given as these columns of one table, such as `MESSAGE` or `OUTBOX`."""
    if rows:
        bulk_of(tx).insert(tx, columns, rows)


def move_conversations(tx: Connection, moved: Sequence[Move]) -> bool:
    """Advance conversations to their new last seq, time and activity.

    Returns:
        False if any of them no longer has the given version and last_seq.
    """
    return not moved or bulk_of(tx).change(tx, MOVE, moved) == len(moved)


def get_ready(tx: Connection, statements: Iterable[Statement], tables: Iterable[Columns]) -> None:
    """Compile these statements, insertions into these tables, and those of this module."""
    bulk_of(tx).get_ready(tx, (KEYED, POSTED, MOVE, *statements), (MESSAGE, *tables))
