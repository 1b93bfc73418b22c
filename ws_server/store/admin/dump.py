"""Tables as lines of JSON, in the same form for every database.

A row is an array of its values in the order of the columns; bytes are base64. Tables and columns
are read from the database itself, so that an older schema can be dumped as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, MetaData, Table, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from shared.protocol import base64

LEFT_OUT = frozenset({"alembic_version", "uploads"})
"""Tables left out of a backup: the schema's revision, which the backup states itself, and pending
uploads, whose contents are incomplete."""
MISFIT = ("22", "23")
"""Classes of SQLSTATEs for values that do not fit: data and integrity errors."""
READ_AT_ONCE = 250
"""Rows fetched at a time: a few milliseconds of database work."""
AT_ONCE = 1_000
"""Rows inserted by one statement."""


class BadRows(Exception):
    """Lines that are not valid rows of their table."""


def tables(tx: Connection) -> list[Table]:
    """Return the tables of a realm, referenced tables first."""
    found = MetaData()
    found.reflect(tx)
    return [table for table in found.sorted_tables if table.name not in LEFT_OUT]


def columns(table: Table) -> list[str]:
    """Return the names of the columns in the order of a row's values."""
    return [str(column.name) for column in table.columns]


def lines(tx: Connection, table: Table) -> Iterator[bytes]:
    """Yield the rows by their primary key, each with its line break."""
    rows = tx.execute(
        select(table).order_by(*table.primary_key.columns),
        execution_options={"stream_results": True, "yield_per": READ_AT_ONCE},
    )
    for row in rows:
        yield orjson.dumps(tuple(row), _base64, orjson.OPT_APPEND_NEWLINE)


def _base64(value: Any) -> str:
    if not isinstance(value, bytes):
        raise TypeError
    return base64.written(value)


def load(tx: Connection, table: Table, names: Sequence[str], content: bytes) -> int:
    """Insert rows from lines and return their number.

    Args:
        names: The order of the values; exactly the table's columns.

    Raises:
        BadRows: a line is not a row of this table, or violates a constraint.
    """
    kinds = [(table.c[name].type.python_type, bool(table.c[name].nullable)) for name in names]
    rows = [dict(zip(names, _row(line, kinds), strict=True)) for line in content.splitlines()]
    try:
        for start in range(0, len(rows), AT_ONCE):
            tx.execute(insert(table), rows[start : start + AT_ONCE])
    except DBAPIError as error:
        if isinstance(error, IntegrityError | DataError) or _state(error) in MISFIT:
            raise BadRows from error
        raise
    return len(rows)


def _state(error: DBAPIError) -> str:
    """Return the class of an SQLSTATE; empty on SQLite, which has none."""
    return str(getattr(error.orig, "sqlstate", ""))[:2]


def _row(line: bytes, kinds: Sequence[tuple[type, bool]]) -> list[Any]:
    try:
        values = orjson.loads(line)
        if not isinstance(values, list) or len(values) != len(kinds):
            raise BadRows
        return [_value(v, *kind) for v, kind in zip(values, kinds, strict=True)]
    except ValueError as error:
        raise BadRows from error


def _value(value: Any, kind: type, nullable: bool) -> Any:
    if value is None and nullable:
        return None
    if kind is bytes and isinstance(value, str):
        return base64.read_strict(value)
    if type(value) is not kind or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise BadRows
    return value
