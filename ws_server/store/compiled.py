"""Questions that are asked often: compiled once a database, and run on its driver.

SQLAlchemy's own way to the driver costs more than most answers: each use builds the statement anew,
finds its compiled form by a key made of all its parts, and wraps the rows.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Select, Update

from ws_server.store.adapter import bulk_of

Processors = Sequence[Callable[[Any], Any] | None]


class Compiled:
    """One statement; its parameters are those of its `bindparam`s."""

    def __init__(self, statement: Select[Any] | Update) -> None:
        self._statement = statement
        columns = [str(column.key) for column in _columns(statement)]
        self._row: Any = namedtuple("Row", columns)  # type: ignore[misc]

    def run(self, tx: Connection, **values: object) -> None:
        """Run a statement that returns no rows."""
        self.rows(tx, **values)

    def rows(self, tx: Connection, **values: object) -> list[Any]:
        """Return the rows, whose fields have the names of the columns."""
        sql, parameters, processors = _prepared(self._statement, tx.dialect)
        given = [values.get(name, default) for name, default in parameters]
        found = bulk_of(tx).fetch(tx, sql, given)
        make = self._row._make
        if processors is None:
            return [make(row) for row in found]
        return [
            make(
                [
                    value if process is None else process(value)
                    for value, process in zip(row, processors, strict=True)
                ]
            )
            for row in found
        ]


def _columns(statement: Select[Any] | Update) -> Sequence[ColumnElement[Any]]:
    return list(statement.selected_columns) if isinstance(statement, Select) else []


@lru_cache(maxsize=200)
def _prepared(
    statement: Select[Any] | Update, dialect: Dialect
) -> tuple[str, Sequence[tuple[str, Any]], Processors | None]:
    """Return the text, its parameters in their order with their defaults, and what reads rows."""
    compiled = statement.compile(dialect=dialect)
    defaults: Mapping[str, Any] = compiled.params
    names = compiled.positiontup or ()
    processors = [
        column.type.dialect_impl(dialect).result_processor(dialect, None)
        for column in _columns(statement)
    ]
    return (
        str(compiled),
        [(name, defaults[name]) for name in names],
        processors if any(processors) else None,
    )
