"""Read-only inspection of a database, with or without a running server."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from shared.faults import shown
from ws_server.store.contents import content_fetches
from ws_server.store.engines import snapshot, sqlite_file
from ws_server.store.engines.adapter import LOCK_WAIT, DatabaseRefused
from ws_server.store.migrating import KNOWN, NEWEST, current
from ws_server.store.schema import conversations, messages

T = TypeVar("T")
NEWEST_LOOKED_AT = 10_000
"""The most recent messages searched for one with a time of this realm."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of a database, compared with this version's."""

    found: str | None
    newest: str
    """The newest schema of this version."""
    is_known: bool


@dataclass(frozen=True, slots=True)
class Check:
    """The result of SQLite's own check."""

    fault: str
    """Empty if no fault was found."""
    is_whole: bool
    """False if time ran out before all pages were checked."""


def read(url: URL, question: Callable[[Connection], T]) -> T:
    """Run `question(tx)` on one snapshot of a database; blocks, in a thread without an event loop.

    Raises:
        DatabaseRefused: there is no database, or it cannot be read.
    """
    path = sqlite_file.file_of(url)
    if path is None:
        return asyncio.run(snapshot.read(url, question))
    if not path.is_file():
        raise DatabaseRefused(f"{shown(path)}: there is no database")
    # Without a write-ahead log the file is not in use, and `immutable` keeps SQLite from creating
    # one. A file in use must not be opened as immutable.
    has_log = path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro" if has_log else "mode=ro&immutable=1"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite_file.connect(path, options, timeout=LOCK_WAIT),
        poolclass=NullPool,
        hide_parameters=True,
    )
    try:
        with engine.connect() as tx:
            return question(tx)
    except (DBAPIError, sqlite3.Error) as error:
        fault = error.orig if isinstance(error, DBAPIError) else error
        raise DatabaseRefused(sqlite_file.explained(path, fault or error)) from error
    finally:
        engine.dispose()


def schema(tx: Connection) -> Schema:
    """Return the schema of the database and the newest one of this version."""
    found = current(tx)
    return Schema(found, NEWEST, found in KNOWN)


def is_wal(path: Path) -> bool:
    """Return whether a SQLite database is in WAL mode, by its header (fileformat2, 1.3.3)."""
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"


def quick_check(tx: Connection, seconds: float) -> Check:
    """Run SQLite's page check for at most these seconds; PostgreSQL is not checked."""
    if tx.dialect.name != "sqlite":
        return Check("", True)
    driver: sqlite3.Connection | None = tx.connection.driver_connection
    assert driver is not None
    end = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        fault = str(driver.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if time.monotonic() > end:
            return Check("", False)
        return Check(str(error), True)
    finally:
        driver.set_progress_handler(None, 0)
    return Check("" if fault == "ok" else " ".join(fault.split()), True)


def product(tx: Connection) -> str:
    """Return name and version of the database product, such as `postgresql 15.18`."""
    version = tx.dialect.server_version_info or ()
    return f"{tx.dialect.name} {'.'.join(map(str, version))}"


def newest_message(tx: Connection) -> int | None:
    """Return the time of the newest message timed by this realm, in Unix milliseconds.

    Messages in groups of other hosts carry the host's time, so they are skipped. None if the last
    `NEWEST_LOOKED_AT` messages are all of that kind.
    """
    last = select(messages.c.conversation_id, messages.c.row, messages.c.time)
    last = last.order_by(messages.c.row.desc()).limit(NEWEST_LOOKED_AT)
    found = last.subquery()
    own = (
        select(found.c.time)
        .join(conversations, conversations.c.id == found.c.conversation_id)
        .where(conversations.c.realm_id.is_(None))
    )
    return tx.scalar(own.order_by(found.c.row.desc()).limit(1))


def contents(tx: Connection, most: int | None) -> tuple[int, list[tuple[str, int]]]:
    """Return the number of stored contents, and hash and size of a sample of them.

    Args:
        most: The size of the sample, chosen at random; None for all.
    """
    chosen = content_fetches.stored(tx).subquery()
    count = tx.scalar(select(func.count()).select_from(chosen)) or 0
    sample = select(chosen.c.sha256, chosen.c.size)
    if most is not None:
        sample = sample.order_by(func.random()).limit(most)
    return count, [(sha256, size) for sha256, size in tx.execute(sample)]
