"""One SQL database: opening, migrating, reading in threads.

Questions to the store are functions `question(tx, ...)` on a SQLAlchemy connection; they run in a
reader thread (`Database.read`) or inside the journal's transaction, never on the event loop.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.schema import meta
from ws_server.threads import Turns

P = ParamSpec("P")
T = TypeVar("T")

ASKER: ContextVar[Hashable] = ContextVar("ASKER", default="")
"""Whose command is being run: a user's id, or the address of somebody not signed in."""
READERS = 4
MAX_WAITING_READS = 2_000
LOCK_WAIT = 2.0
"""Seconds to wait for another process that holds the database before answering `unavailable`."""
CHECKPOINT_PAGES = 4_000
"""Pages in the write-ahead log before SQLite copies them into the database (16 MB)."""


_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)


class DatabaseRefused(Exception):
    """The database cannot be used; the text tells the operator what to do."""


def unavailable(error: Exception) -> ChatError | None:
    """Return the refusal for a fault of the store; None if `error` is a bug of ours."""
    fault = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(fault, sqlite3.Error) and not isinstance(fault, _BUGS):
        return ChatError(ErrorCode.UNAVAILABLE, "The store cannot answer now; nothing was done")
    if isinstance(error, OSError):
        return ChatError(ErrorCode.UNAVAILABLE, "The disk refused; nothing was done")
    return None


class Database:
    """A database that is open and has the newest schema."""

    def __init__(self, reading: Engine, writing: Engine) -> None:
        self._reading = reading
        self._writing = writing
        self._threads = Turns(
            "read",
            READERS,
            each_at_once=READERS // 2,
            most=MAX_WAITING_READS,
            most_each=MAX_WAITING_READS // 2,
        )
        self.epoch = ""

    @classmethod
    def open(cls, url: str) -> Database:
        """Open and migrate the database; blocks.

        Args:
            url: `sqlite:///path`.

        Raises:
            DatabaseRefused: it was made by a newer version, or cannot be opened.
        """
        database = cls(_engine(url, "BEGIN", READERS), _engine(url, "BEGIN IMMEDIATE", 1))
        try:
            with database._writing.begin() as tx:
                migrate(tx)
                database.epoch = epoch(tx)
        except (DBAPIError, sqlite3.Error) as error:
            database.close()
            fault = error.orig if isinstance(error, DBAPIError) else error
            raise DatabaseRefused(f"{url}: {fault}") from error
        except DatabaseRefused:
            database.close()
            raise
        return database

    def connect_writer(self) -> Connection:
        """Return the one connection that writes; its transactions take the write lock at once."""
        return self._writing.connect()

    async def read(
        self, question: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `question(tx, ...)` in a reader thread, on one snapshot of the database.

        Those who ask (`ASKER`) take turns.

        Raises:
            ChatError: UNAVAILABLE, the store does not answer or too many questions wait.
        """
        try:
            return await self._threads.run(
                ASKER.get(), lambda: self._ask(question, *args, **kwargs)
            )
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise unavailable(error) or error from error

    def _ask(
        self, question: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        with self._reading.begin() as tx:
            return question(tx, *args, **kwargs)

    def close(self) -> None:
        """Close all connections; blocks until running questions have ended."""
        self._threads.close()
        self._reading.dispose()
        self._writing.dispose()


def _engine(url: str, begin: str, size: int) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # they hold what people wrote, and errors are logged
        connect_args={"check_same_thread": False, "timeout": LOCK_WAIT},
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
        driver: sqlite3.Connection | None = connection.connection.driver_connection
        assert driver is not None
        driver.execute(begin)

    return engine


MIGRATIONS = str(Path(__file__).parent / "migrations")


def migrate(tx: Connection, revision: str = "head") -> None:
    """Bring the schema to a later revision, or make it.

    Raises:
        DatabaseRefused: it was made by a newer version.
    """
    check_known(MigrationContext.configure(tx).get_current_revision())
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = tx
    command.upgrade(config, revision)


def check_known(revision: str | None) -> None:
    """Refuse a schema that this version does not know.

    Raises:
        DatabaseRefused: it is of a newer version.
    """
    known = {script.revision for script in ScriptDirectory(MIGRATIONS).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseRefused(
            f"The database was made by a newer version of Simple Chatting (schema {revision}). "
            "Use that version, or give another --data folder"
        )


def newest_revision() -> str:
    """Return the schema of this version."""
    newest = ScriptDirectory(MIGRATIONS).get_current_head()
    assert newest is not None
    return newest


def epoch(tx: Connection) -> str:
    """Return the name of this history; made once, and anew when a backup is restored."""
    found = tx.scalar(select(meta.c.value).where(meta.c.key == "epoch"))
    if found is not None:
        return str(found)
    made = secrets.token_hex(8)
    tx.execute(insert(meta).values(key="epoch", value=made))
    return made
