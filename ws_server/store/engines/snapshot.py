"""A whole database: read from one snapshot while in use, or created in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, delete, event, func, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from shared.faults import shown
from ws_server.store.database import history_id
from ws_server.store.engines import sqlite_file
from ws_server.store.engines.adapter import LOCK_WAIT, DatabaseRefused
from ws_server.store.engines.sqlite import Values
from ws_server.store.migrating import NEWEST, check_known, current, migrate
from ws_server.store.schema import meta, metadata

T = TypeVar("T")


async def read(url: URL, question: Callable[[Connection], T]) -> T:
    """Run `question(tx)` on one snapshot of a database, while others read and write it.

    The schema is not migrated. Meanwhile SQLite cannot reset its write-ahead log; nothing else is
    blocked. The function runs in the calling thread.

    Raises:
        DatabaseRefused: there is no database, or it does not answer.
    """
    return await _transact(url, question, is_new=False)


async def create(
    url: URL,
    revision: str,
    fill: Callable[[Connection], T],
    place: Callable[[], None] | None = None,
) -> T:
    """Create a database in one transaction and return the result of `fill(tx)`.

    Args:
        revision: The schema that `fill` expects; it is migrated to the newest afterwards.
        place: Called last, right before the commit; if it raises, everything is rolled back.

    Raises:
        DatabaseRefused: the database is not empty, the schema is of a newer version, or the disk
            failed.
    """
    check_known(revision)

    def build(tx: Connection) -> T:
        if inspect(tx).get_table_names():
            raise DatabaseRefused("The database is not empty; name an empty one with --database")
        migrate(tx, revision)
        done = fill(tx)
        migrate(tx)
        _set_sequences(tx)
        tx.execute(delete(meta).where(meta.c.key == "epoch"))
        history_id(tx)
        if place is not None:
            place()
        return done

    return await _transact(url, build, is_new=True)


def revision(tx: Connection) -> str:
    """Return the revision of the schema.

    Raises:
        DatabaseRefused: the schema is of a newer version, or there is none.
    """
    found = current(tx)
    if found is None:
        raise DatabaseRefused("The database holds no realm")
    check_known(found)
    return found


def expect_newest(tx: Connection) -> None:
    """Refuse a database whose schema is not the newest.

    Raises:
        DatabaseRefused: the schema is of another version.
    """
    if revision(tx) != NEWEST:
        raise DatabaseRefused("The database is of an older version; start the server on it first")


def _set_sequences(tx: Connection) -> None:
    """Advance the sequences beyond the rows that were inserted with their ids."""
    if tx.dialect.name != "postgresql":
        return  # SQLite always continues after the highest id
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            sequence = func.pg_get_serial_sequence(f'"{table.name}"', column.name)
            highest = func.coalesce(func.max(column), 0)
            tx.execute(select(func.setval(sequence, highest + 1, text("false"))))


async def _transact(url: URL, work: Callable[[Connection], T], *, is_new: bool) -> T:
    """Run `work(tx)` in one transaction; `is_new` creates a database, else it is read-only.

    Raises:
        DatabaseRefused: the database does not answer.
    """
    path = sqlite_file.file_of(url)
    if path is None:
        # Imported here, so that commands on SQLite do not load the driver.
        from ws_server.store.engines.postgresql_snapshot import transact

        return await transact(url, work, writes=is_new)
    try:
        with _sqlite(path.absolute(), is_new) as tx:
            return work(tx)
    except (DBAPIError, sqlite3.Error) as error:
        fault = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseRefused(sqlite_file.explained(path, fault or error)) from error


@contextmanager
def _sqlite(path: Path, is_new: bool) -> Iterator[Connection]:
    sqlite_file.check_length(path)
    was_there = path.exists()
    if not (was_there or is_new):
        raise DatabaseRefused(f"{shown(path)}: there is no database")
    mode, begin = ("rwc", "BEGIN IMMEDIATE") if is_new else ("ro", "BEGIN")

    def connect() -> sqlite3.Connection:
        connection = sqlite_file.connect(
            path, f"mode={mode}", isolation_level=None, timeout=LOCK_WAIT
        )
        if is_new:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        # Migrations recreate tables; the foreign keys are checked at the end instead.
        connection.execute(f"PRAGMA foreign_keys={'OFF' if is_new else 'ON'}")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=NullPool,
        hide_parameters=True,  # they contain user data
        execution_options={"bulk": Values()},
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    try:
        with engine.begin() as tx:
            yield tx
            broken = tx.exec_driver_sql("PRAGMA foreign_key_check").first() if is_new else None
            if broken is not None:
                raise DatabaseRefused(f"tables/{broken[0]}: a row refers to a missing row")
        was_there = True
    finally:
        engine.dispose()
        if not was_there:
            path.unlink(missing_ok=True)
