"""PostgreSQL's bulk statements: one array per column, or a COPY, for any number of rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ARRAY,
    Connection,
    Dialect,
    FromClause,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.sql.compiler import SQLCompiler

from ws_server.store.engines.adapter import Columns, Rows, Statement

T = TypeVar("T")


class Arrays:
    """A `Bulk` on the driver's own connection: one round trip per statement."""

    def fetch(self, tx: Connection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        rows: list[Any] = _on_driver(tx, lambda d: d.fetch(sql, *parameters))
        return rows

    def ask(self, tx: Connection, statement: Statement, rows: Rows) -> Sequence[Any]:
        return self.fetch(tx, _about(tx.dialect, statement), _columns(rows))

    def change(self, tx: Connection, statement: Statement, rows: Rows) -> int:
        sql = _about(tx.dialect, statement)
        status: str = _on_driver(tx, lambda d: d.execute(sql, *_columns(rows)))
        return int(status.rpartition(" ")[2])

    def insert(self, tx: Connection, columns: Columns, rows: Rows) -> None:
        table, names = columns[0].table.name, [c.name for c in columns]
        _on_driver(tx, lambda d: d.copy_records_to_table(table, records=rows, columns=names))

    def get_ready(
        self, tx: Connection, statements: Iterable[Statement], tables: Iterable[Columns]
    ) -> None:
        # Run with no rows, which also plans them and changes nothing.
        for statement in statements:
            nothing: list[list[object]] = [[] for _ in statement.given]
            self.fetch(tx, _about(tx.dialect, statement), nothing)
        for columns in tables:
            self.insert(tx, columns, [])


def _columns(rows: Rows) -> Sequence[tuple[object, ...]]:
    return list(zip(*rows, strict=True))


@lru_cache(256)
def _about(dialect: Dialect, statement: Statement) -> str:
    arrays = [bindparam(c.name, type_=ARRAY(c.type)) for c in statement.given]
    given = func.unnest(*arrays).table_valued(*statement.given)
    given = given.render_derived(name="given")
    about = _one_by_one(statement, given) if statement.each else statement.about(given)
    compiled = cast(SQLCompiler, about.compile(dialect=dialect))
    # The arrays are the only parameters, in the order of the columns.
    assert compiled.positiontup == [c.name for c in statement.given], str(compiled)
    return str(compiled)


def _one_by_one(statement: Statement, given: FromClause) -> Select[Any]:
    """Return a statement that is planned for one input row, and run for each.

    For a table without statistics, as after a restore, PostgreSQL estimates that a hundredth of its
    rows match, and would scan the table for all input rows at once.
    """
    names = [literal_column(f"given.{c.name}", c.type).label(c.name) for c in statement.given]
    one = select(*names).subquery("one")
    found = cast("Select[Any]", statement.about(one)).offset(literal_column("0")).lateral("found")
    return select(*found.c).select_from(given.join(found, true()))


def _on_driver(tx: Connection, run: Callable[[Any], Awaitable[T]]) -> T:
    # SQLAlchemy's own path to the driver costs as much as the statement.
    return cast(AdaptedConnection, tx.connection.dbapi_connection).run_async(run)
