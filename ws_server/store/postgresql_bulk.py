"""PostgreSQL's statements for many rows: an array a column, or a COPY, for any number of rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.engine import AdaptedConnection

from ws_server.store.adapter import Columns, Move
from ws_server.store.bulk import KEYED

T = TypeVar("T")
FIND = (
    f"SELECT {', '.join(f'messages.{c.name}' for c in KEYED)} "
    "FROM unnest($1::bigint[], $2::text[]) AS wanted (sender, key) "
    "JOIN messages ON messages.sender_id = wanted.sender "
    "AND messages.idempotency_key = wanted.key AND messages.idempotency_key IS NOT NULL"
)
MOVE = (
    "UPDATE conversations "
    "SET last_seq = moved.new, last_time = moved.time, activity = moved.activity "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
    "$6::bigint[]) AS moved (id, version, old, new, time, activity) "
    "WHERE conversations.id = moved.id AND conversations.version = moved.version "
    "AND conversations.last_seq = moved.old"
)


class Arrays:
    """A `Bulk` on the driver's own connection: one round trip a statement."""

    def fetch(
        self, tx: Connection, sql: str, parameters: Sequence[object]
    ) -> Iterable[Sequence[Any]]:
        rows: list[Sequence[Any]] = _on_driver(tx, lambda d: d.fetch(sql, *parameters))
        return rows

    def find_keys(self, tx: Connection, keys: Sequence[tuple[int, str]]) -> Iterable[Sequence[Any]]:
        rows: list[Sequence[Any]] = _on_driver(tx, lambda d: d.fetch(FIND, *_columns(keys)))
        return rows

    def insert(self, tx: Connection, columns: Columns, rows: Sequence[tuple[object, ...]]) -> None:
        table, names = columns[0].table.name, [c.name for c in columns]
        _on_driver(tx, lambda d: d.copy_records_to_table(table, records=rows, columns=names))

    def move_conversations(self, tx: Connection, moved: Sequence[Move]) -> int:
        said: str = _on_driver(tx, lambda d: d.execute(MOVE, *_columns(moved)))
        return int(said.removeprefix("UPDATE "))


def _columns(rows: Sequence[tuple[object, ...]]) -> Iterable[tuple[object, ...]]:
    return zip(*rows, strict=True)


def _on_driver(tx: Connection, run: Callable[[Any], Awaitable[T]]) -> T:
    # SQLAlchemy's own way to the driver costs as much as the statement.
    return cast(AdaptedConnection, tx.connection.dbapi_connection).run_async(run)
