"""A database as a whole: read while it is in use, and made anew in one transaction."""

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

    It is not migrated, and nothing waits for this but the reuse of the write-ahead log. The
    question runs in the calling thread.

    Raises:
        DatabaseRefused: there is none, or it does not answer.
    """
    return await _transact(url, question, is_new=False)


async def create(
    url: URL,
    revision: str,
    fill: Callable[[Connection], T],
    place: Callable[[], None] | None = None,
) -> T:
    """Make a database in one transaction and return what `fill(tx)` did.

    Args:
        revision: The schema that `fill` finds; it is migrated to the newest afterwards.
        place: Runs last, right before the commit; its exception undoes all.

    Raises:
        DatabaseRefused: it is not empty, the schema is of a newer version, or the disk refused.
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
        DatabaseRefused: it is of a newer version, or there is none.
    """
    found = current(tx)
    if found is None:
        raise DatabaseRefused("The database holds no realm")
    check_known(found)
    return found


def expect_newest(tx: Connection) -> None:
    """Refuse a schema that questions of this version do not fit.

    Raises:
        DatabaseRefused: it is of another version.
    """
    if revision(tx) != NEWEST:
        raise DatabaseRefused("The database is of an older version; start the server on it first")


def _set_sequences(tx: Connection) -> None:
    """Let new rows come after those that were written with their ids."""
    if tx.dialect.name != "postgresql":
        return  # SQLite goes on after the highest
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            sequence = func.pg_get_serial_sequence(f'"{table.name}"', column.name)
            highest = func.coalesce(func.max(column), 0)
            tx.execute(select(func.setval(sequence, highest + 1, text("false"))))


async def _transact(url: URL, work: Callable[[Connection], T], *, is_new: bool) -> T:
    """Run `work(tx)` in one transaction: one that writes, or one that only reads.

    Raises:
        DatabaseRefused: the database does not answer.
    """
    path = sqlite_file.file_of(url)
    if path is None:
        # Who does not use PostgreSQL need not wait for its driver to load.
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
        # Migrations make tables anew; what is made is checked at the end instead.
        connection.execute(f"PRAGMA foreign_keys={'OFF' if is_new else 'ON'}")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=NullPool,
        hide_parameters=True,  # they hold what people wrote
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
                raise DatabaseRefused(f"tables/{broken[0]}: a row refers to one that is not there")
        was_there = True
    finally:
        engine.dispose()
        if not was_there:
            path.unlink(missing_ok=True)
