"""PostgreSQL's statements for many rows: one array a column, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Connection, String, Text
from sqlalchemy.engine import AdaptedConnection

from ws_server.store.adapter import Columns


@lru_cache
def _insert(columns: Columns) -> str:
    types = ("text" if isinstance(c.type, String | Text) else "bigint" for c in columns)
    arrays = ", ".join(f"${at}::{type}[]" for at, type in enumerate(types, 1))
    names = ", ".join(c.name for c in columns)
    return f"INSERT INTO {columns[0].table.name} ({names}) SELECT * FROM unnest({arrays})"


MOVE = (
    "UPDATE conversations SET last_seq = moved.new "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) "
    "AS moved (id, version, old, new) "
    "WHERE conversations.id = moved.id AND conversations.version = moved.version "
    "AND conversations.last_seq = moved.old"
)


class Arrays:
    """A `Bulk` of two statements on the driver's own connection."""

    def insert(self, tx: Connection, columns: Columns, rows: Sequence[tuple[object, ...]]) -> None:
        _execute(tx, _insert(columns), rows)

    def move_last_seq(self, tx: Connection, moved: Sequence[tuple[int, int, int, int]]) -> int:
        return int(_execute(tx, MOVE, moved).removeprefix("UPDATE "))


def _execute(tx: Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> str:
    """Run a statement that takes a list for each column, and return what PostgreSQL says."""
    columns = list(zip(*rows, strict=True))
    adapted = cast(AdaptedConnection, tx.connection.dbapi_connection)

    async def run(driver: Any) -> str:
        return str(await driver.execute(sql, *columns))

    return str(adapted.run_async(run))
