"""Looking at a database without changing it, whether or not a server is using it."""

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
"""Messages among which one of this realm's own time is looked for."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Which schema a database has."""

    found: str | None
    newest: str
    """The one of this version."""
    is_known: bool


@dataclass(frozen=True, slots=True)
class Check:
    """What SQLite's own check came to."""

    fault: str
    """Empty if none was found."""
    is_whole: bool
    """False if the time was over before all was looked at."""


def read(url: URL, question: Callable[[Connection], T]) -> T:
    """Run `question(tx)` on one snapshot of a database; blocks, in a thread without a loop.

    Raises:
        DatabaseRefused: there is none, or it cannot be read.
    """
    path = sqlite_file.file_of(url)
    if path is None:
        return asyncio.run(snapshot.read(url, question))
    if not path.is_file():
        raise DatabaseRefused(f"{shown(path)}: there is no database")
    # Without a log nobody has it open, and only then may SQLite be told that nothing changes;
    # it would leave a log behind otherwise.
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
    """Return which schema the database has, and which this version has."""
    found = current(tx)
    return Schema(found, NEWEST, found in KNOWN)


def is_wal(path: Path) -> bool:
    """Tell whether a SQLite database is in WAL mode, by its header (fileformat2, 1.3.3)."""
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"


def quick_check(tx: Connection, seconds: float) -> Check:
    """Have SQLite check its pages for as long as that; PostgreSQL looks after its own."""
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
    """Return which database it is, such as `postgresql 15.18`, as far as its version is numbers."""
    version = tx.dialect.server_version_info or ()
    return f"{tx.dialect.name} {'.'.join(map(str, version))}"


def newest_message(tx: Connection) -> int | None:
    """Return the time of the newest message to which this realm gave it, in Unix milliseconds.

    In groups that another realm hosts, times are by that one's clock. A realm whose last
    `NEWEST_LOOKED_AT` messages are all of those has none to judge its own clock by.
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
    """Return how many contents are here that files refer to, and hash and size of some of them.

    Args:
        most: How many to return, chosen at random; None for all.
    """
    chosen = content_fetches.stored(tx).subquery()
    count = tx.scalar(select(func.count()).select_from(chosen)) or 0
    some = select(chosen.c.sha256, chosen.c.size)
    if most is not None:
        some = some.order_by(func.random()).limit(most)
    return count, [(sha256, size) for sha256, size in tx.execute(some)]
