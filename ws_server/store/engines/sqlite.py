"""SQLite: a file in the data folder, with a write-ahead log and a sync at every commit.

Python's driver releases the interpreter lock at every step of a statement. While the event loop is
busy, regaining the lock may take up to a switch interval. A batch must therefore consist of few
steps, so each statement here covers up to 256 rows. SQLAlchemy compiles each statement once per
number of rows. Running the text on the driver saves building it anew for every batch, and 30 us of
SQLAlchemy's own overhead, as much as the statement itself costs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, values
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import ClauseElement

from ws_server.store.engines import sqlite_file
from ws_server.store.engines.adapter import (
    LOCK_WAIT,
    READERS,
    Columns,
    DatabaseRefused,
    Rows,
    Statement,
)
from ws_server.store.groups.group_memory import GroupMemory
from ws_server.store.timeline import Timeline

T = TypeVar("T")
CHUNKS = (256, 64, 16, 4, 1)
CHECKPOINT_PAGES = 4_000
"""Pages in the write-ahead log at which SQLite copies them into the database (16 MB)."""

_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class SQLite:
    """An `Adapter` for a database in a file."""

    def __init__(self, path: Path) -> None:
        """Create the engines; no connection is opened yet."""
        self._path = path
        url = sqlite_file.url_of(path)
        timeline = Timeline()
        self._reading = _engine(url, "BEGIN", READERS, timeline)
        # IMMEDIATE acquires the write lock at once, so no other writer can intervene.
        self._writing = _engine(url, "BEGIN IMMEDIATE", 1, timeline)
        self._writer: Connection | None = None

    def prepare(self, change: Callable[[Connection], T]) -> T:
        sqlite_file.check_length(self._path)
        # A migration recreates tables, which foreign key checks would reject
        # (sqlite.org/lang_altertable.html, section 7); the keys are checked at its end instead.
        self._writer = self._writing.connect()
        driver = _driver(self._writer)
        driver.execute("PRAGMA foreign_keys=OFF")
        made = self.write(partial(_checked, change))
        driver.execute("PRAGMA foreign_keys=ON")
        return made

    def read(self, question: Callable[[Connection], T], snapshot: bool = True) -> T:
        with self._reading.begin() as tx:
            return question(tx)

    def write(self, change: Callable[[Connection], T]) -> T:
        if self._writer is None:
            self._writer = self._writing.connect()
        try:
            with self._writer.begin():
                return change(self._writer)
        finally:
            # After a failed commit, SQLite leaves the transaction open.
            driver = _driver(self._writer)
            if driver.in_transaction:
                driver.rollback()

    def is_fault(self, error: Exception) -> bool:
        fault = _driver_error(error)
        return isinstance(fault, sqlite3.Error) and not isinstance(fault, _BUGS)

    def redact(self, error: Exception) -> None:
        """Do nothing: SQLite's errors name columns, never values."""

    def explain(self, error: Exception) -> str | None:
        fault = _driver_error(error)
        return (
            sqlite_file.explained(self._path, fault) if isinstance(fault, sqlite3.Error) else None
        )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reading.dispose()
        self._writing.dispose()


def _checked(change: Callable[[Connection], T], tx: Connection) -> T:
    driver = _driver(tx)

    def schema() -> Any:
        return driver.execute("PRAGMA schema_version").fetchone()

    before = schema()
    made = change(tx)
    if schema() != before and (broken := driver.execute("PRAGMA foreign_key_check").fetchone()):
        raise DatabaseRefused(
            f"The database is damaged: a row of {broken[0]} refers to a missing row"
        )
    return made


def _driver_error(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: sqlite3.Connection | None = connection.connection.driver_connection
    assert driver is not None
    return driver


def _engine(url: URL, begin: str, size: int, timeline: Timeline) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # they contain user data, and errors are logged
        connect_args={"check_same_thread": False, "timeout": LOCK_WAIT},
        execution_options={"bulk": Values(), "timeline": timeline, "groups": GroupMemory()},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _: object) -> None:
        # Disables the driver's own transaction handling, so that BEGIN is explicit.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        _driver(connection).execute(begin)

    return engine


class Values:
    """A `Bulk` that runs statements with VALUES for up to 256 rows."""

    def fetch(self, tx: Connection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        return _driver(tx).execute(sql, tuple(parameters)).fetchall()

    def ask(self, tx: Connection, statement: Statement, rows: Rows) -> Sequence[Any]:
        found: list[Any] = []
        for chunk in _chunks(rows):
            found += self.fetch(tx, _about(tx.dialect, statement, len(chunk)), _flat(chunk))
        return found

    def change(self, tx: Connection, statement: Statement, rows: Rows) -> int:
        count = 0
        driver = _driver(tx)
        for chunk in _chunks(rows):
            driver.execute(_about(tx.dialect, statement, len(chunk)), _flat(chunk))
            # The driver reports no row count for a statement that begins with WITH.
            count += driver.execute("SELECT changes()").fetchone()[0]
        return count

    def insert(self, tx: Connection, columns: Columns, rows: Rows) -> None:
        for chunk in _chunks(rows):
            _driver(tx).execute(_insert(tx.dialect, columns, len(chunk)), _flat(chunk))

    def get_ready(
        self, tx: Connection, statements: Iterable[Statement], tables: Iterable[Columns]
    ) -> None:
        for statement in statements:
            _about_one(tx.dialect, statement)
        for columns in tables:
            _insert_one(tx.dialect, columns)


def _flat(rows: Rows) -> tuple[object, ...]:
    return tuple(chain.from_iterable(rows))


def _chunks(rows: Rows) -> Iterator[Rows]:
    start = 0
    for size in CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


@lru_cache(256)
def _insert(dialect: Dialect, columns: Columns, count: int) -> str:
    return _repeated(_insert_one(dialect, columns), len(columns), count)


@lru_cache
def _insert_one(dialect: Dialect, columns: Columns) -> str:
    # Written by hand: SQLAlchemy would order the columns by the table, not by the rows.
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(c.name) for c in columns)
    row = ", ".join("?" * len(columns))
    return f"INSERT INTO {quote(columns[0].table.name)} ({names}) VALUES ({row})"


@lru_cache(256)
def _about(dialect: Dialect, statement: Statement, count: int) -> str:
    return _repeated(_about_one(dialect, statement), len(statement.given), count)


@lru_cache
def _about_one(dialect: Dialect, statement: Statement) -> str:
    row = tuple(c.type.python_type() for c in statement.given)
    given = values(*statement.given).data([row]).cte("given")
    return _compiled(dialect, statement.about(given))


def _compiled(dialect: Dialect, statement: ClauseElement) -> str:
    return str(statement.compile(dialect=dialect))


def _repeated(sql: str, width: int, count: int) -> str:
    """Return a statement for one row, repeated for many rows.

    SQLAlchemy takes 50 ms to compile a statement for 256 rows, which would delay messages.
    """
    row = f"({', '.join('?' * width)})"
    # The rows' values are the only parameters, so they are in the order of the rows.
    assert sql.count(row) == 1 and sql.count("?") == width, sql
    return sql.replace(row, ", ".join([row] * count))
