"""SQLite: a file of the data folder, with a write-ahead log and every commit synced.

Python's driver gives up the interpreter lock at every step of a statement, and while the event
loop is busy it may take up to a switch interval to get it back. So a batch must be few steps, not
few transactions only: each statement here takes up to 256 rows. SQLAlchemy compiles it once a
size; running the text directly spares building it anew for every batch, and 30 us of SQLAlchemy's
own way to the driver, as much as the statement itself costs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Dialect,
    Engine,
    String,
    and_,
    column,
    create_engine,
    event,
    insert,
    select,
    update,
    values,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import ClauseElement

from ws_server.store.adapter import LOCK_WAIT, READERS, Columns, DatabaseRefused, Move
from ws_server.store.bulk import KEYED
from ws_server.store.schema import conversations, messages
from ws_server.store.timeline import Timeline

T = TypeVar("T")
CHUNKS = (256, 64, 16, 4, 1)
CHECKPOINT_PAGES = 4_000
"""Pages in the write-ahead log before SQLite copies them into the database (16 MB)."""

_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class SQLite:
    """An `Adapter` for `sqlite:///PATH`."""

    def __init__(self, url: str) -> None:
        """Open nothing yet."""
        self._url = url
        timeline = Timeline()
        self._reading = _engine(url, "BEGIN", READERS, timeline)
        # The write lock is taken at once, so that nobody can come in between.
        self._writing = _engine(url, "BEGIN IMMEDIATE", 1, timeline)
        self._writer: Connection | None = None

    def prepare(self, change: Callable[[Connection], T]) -> T:
        # A migration makes tables anew, which the checks of those that refer to them would forbid
        # (sqlite.org/lang_altertable.html, section 7); they are made at its end instead.
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
            # SQLite keeps a transaction open when its commit fails.
            driver = _driver(self._writer)
            if driver.in_transaction:
                driver.rollback()

    def is_fault(self, error: Exception) -> bool:
        fault = _said(error)
        return isinstance(fault, sqlite3.Error) and not isinstance(fault, _BUGS)

    def hush(self, error: Exception) -> None:
        """SQLite names columns, never values."""

    def explain(self, error: Exception) -> str | None:
        fault = _said(error)
        return f"{self._url}: {fault}" if isinstance(fault, sqlite3.Error) else None

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
        raise DatabaseRefused(f"The database is damaged: a row of {broken[0]} refers to nothing")
    return made


def _said(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: sqlite3.Connection | None = connection.connection.driver_connection
    assert driver is not None
    return driver


def _engine(url: str, begin: str, size: int, timeline: Timeline) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # they hold what people wrote, and errors are logged
        connect_args={"check_same_thread": False, "timeout": LOCK_WAIT},
        execution_options={"bulk": Values(), "timeline": timeline},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _: object) -> None:
        # The driver's own transaction handling would hide BEGIN from us.
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
    """A `Bulk` of statements with VALUES for up to 256 rows."""

    def fetch(
        self, tx: Connection, sql: str, parameters: Sequence[object]
    ) -> Iterable[Sequence[Any]]:
        return _driver(tx).execute(sql, tuple(parameters)).fetchall()

    def find_keys(self, tx: Connection, keys: Sequence[tuple[int, str]]) -> Iterable[Sequence[Any]]:
        found: list[Sequence[Any]] = []
        for chunk in _chunks(keys):
            parameters = tuple(value for row in chunk for value in row)
            found += _driver(tx).execute(_find(tx.dialect, len(chunk)), parameters).fetchall()
        return found

    def insert(self, tx: Connection, columns: Columns, rows: Sequence[tuple[object, ...]]) -> None:
        for chunk in _chunks(rows):
            _execute(tx, _insert(tx.dialect, columns, len(chunk)), chunk)

    def move_conversations(self, tx: Connection, moved: Sequence[Move]) -> int:
        return sum(_execute(tx, _move(tx.dialect, len(chunk)), chunk) for chunk in _chunks(moved))


def _execute(tx: Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> int:
    """Run a statement that takes these rows, and return how many it changed."""
    parameters = tuple(value for row in rows for value in row)
    driver = _driver(tx)
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
def _insert(dialect: Dialect, columns: Columns, count: int) -> str:
    row = {c.name: None for c in columns}
    statement = insert(columns[0].table).values([row] * count)
    return _compiled(statement, dialect, count * len(columns))


@lru_cache
def _find(dialect: Dialect, count: int) -> str:
    # A join with the keys seeks each in the index; for `(sender_id, key) IN (...)` SQLite 3.40
    # reads the whole of it. It holds only keys that are not null, and the planner must see that.
    m = messages.c
    keys = (
        values(column("sender", BigInteger), column("key", String))
        .data([(0, "")] * count)
        .cte("keys")
    )
    statement = (
        select(*KEYED)
        .select_from(keys)
        .join(messages, and_(m.sender_id == keys.c.sender, m.idempotency_key == keys.c.key))
        .where(m.idempotency_key.is_not(None))
    )
    return _compiled(statement, dialect, count * 2)


@lru_cache
def _move(dialect: Dialect, count: int) -> str:
    names = ("id", "version", "old", "new", "time", "activity")
    moved = (
        values(*(column(name, BigInteger) for name in names))
        .data([(0,) * len(names)] * count)
        .cte("moved")
    )
    statement = (
        update(conversations)
        .values(last_seq=moved.c.new, last_time=moved.c.time, activity=moved.c.activity)
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
