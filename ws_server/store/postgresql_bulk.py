"""PostgreSQL's statements for many rows: one array a column, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, String, Text
from sqlalchemy.engine import AdaptedConnection

from ws_server.store.bulk import MESSAGE


def _arrays() -> str:
    types = ("text" if isinstance(c.type, String | Text) else "bigint" for c in MESSAGE)
    return ", ".join(f"${at}::{type}[]" for at, type in enumerate(types, 1))


INSERT = (
    f"INSERT INTO messages ({', '.join(c.name for c in MESSAGE)}) SELECT * FROM unnest({_arrays()})"
)
MOVE = (
    "UPDATE conversations SET last_seq = moved.new "
    "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) "
    "AS moved (id, version, old, new) "
    "WHERE conversations.id = moved.id AND conversations.version = moved.version "
    "AND conversations.last_seq = moved.old"
)


class Arrays:
    """A `Bulk` of two statements on the driver's own connection."""

    def insert_messages(self, tx: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        _execute(tx, INSERT, rows)

    def move_last_seq(self, tx: Connection, moved: Sequence[tuple[int, int, int, int]]) -> int:
        return int(_execute(tx, MOVE, moved).removeprefix("UPDATE "))


def _execute(tx: Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> str:
    """Run a statement that takes a list for each column, and return what PostgreSQL says."""
    columns = list(zip(*rows, strict=True))
    adapted = cast(AdaptedConnection, tx.connection.dbapi_connection)

    async def run(driver: Any) -> str:
        return str(await driver.execute(sql, *columns))

    return str(adapted.run_async(run))
