"""Statements that write many rows in one step.

Python's SQLite driver gives up the interpreter lock at every step of a statement, and while the
event loop is busy it may take up to a switch interval to get it back. So a batch must be few steps,
not few transactions only: each statement here takes up to 256 rows. SQLAlchemy compiles it once a
size; running the text directly spares building it anew for every batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

from sqlalchemy import BigInteger, Connection, Dialect, column, insert, update, values
from sqlalchemy.sql import ClauseElement

from ws_server.store.schema import conversations, messages

T = TypeVar("T")
CHUNKS = (256, 64, 16, 4, 1)

_MESSAGE = (
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.id,
    messages.c.sender_id,
    messages.c.time,
    messages.c.text,
    messages.c.file_id,
    messages.c.idempotency_key,
)


def insert_rows(tx: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert messages given as the columns of `_MESSAGE`."""
    for chunk in _chunks(rows):
        _execute(tx, _insert(tx.dialect, len(chunk)), chunk)


def move_last_seq(tx: Connection, moved: Sequence[tuple[int, int, int, int]]) -> bool:
    """Move the `last_seq` of conversations given as (id, version, old last_seq, new last_seq).

    Returns:
        False if any of them no longer has that version and last_seq.
    """
    matched = 0
    for chunk in _chunks(moved):
        matched += _execute(tx, _move(tx.dialect, len(chunk)), chunk)
    return matched == len(moved)


def _execute(tx: Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> int:
    """Run a statement that takes these rows, and return how many it changed."""
    parameters = tuple(value for row in rows for value in row)
    if tx.dialect.name != "sqlite":
        return tx.exec_driver_sql(sql, parameters).rowcount
    # SQLAlchemy's own way to the driver costs 30 us a statement, as much as the statement itself.
    driver: sqlite3.Connection | None = tx.connection.driver_connection
    assert driver is not None
    count = driver.execute(sql, parameters).rowcount
    if count < 0:  # the driver does not count for a statement that begins with WITH
        (count,) = driver.execute("SELECT changes()").fetchone()
    return count


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    at = 0
    for size in CHUNKS:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


@lru_cache
def _insert(dialect: Dialect, count: int) -> str:
    row = {c.name: None for c in _MESSAGE}
    return _compiled(insert(messages).values([row] * count), dialect, count * len(_MESSAGE))


@lru_cache
def _move(dialect: Dialect, count: int) -> str:
    names = ("id", "version", "old", "new")
    moved = (
        values(*(column(name, BigInteger) for name in names))
        .data([(0, 0, 0, 0)] * count)
        .cte("moved")
    )
    statement = (
        update(conversations)
        .values(last_seq=moved.c.new)
        .where(
            conversations.c.id == moved.c.id,
            conversations.c.version == moved.c.version,
            conversations.c.last_seq == moved.c.old,
        )
    )
    return _compiled(statement, dialect, count * len(names))


def _compiled(statement: ClauseElement, dialect: Dialect, parameters: int) -> str:
    compiled = statement.compile(dialect=dialect)
    # The rows' values are the only parameters, so their order is the rows' order.
    assert len(compiled.params) == parameters, (len(compiled.params), parameters)
    return str(compiled)
