"""PostgreSQL through asyncpg: one connection and one event loop for each reader or writer thread.

The store's functions are synchronous, and asyncpg is asynchronous. SQLAlchemy runs such a function
in a greenlet (`AsyncConnection.run_sync`), which yields to the loop while a statement is running. A
loop runs only during a call of its thread, so only the calling thread waits.

Each transaction stores an id of its own in `meta`, in the same round trip as its COMMIT. If the
connection breaks before the reply, that id shows whether the commit is durable. Acquiring the
writer's advisory lock again proves that the old transaction has ended. (`pg_xact_status` is not
sufficient: after a crash, PostgreSQL may assign the number of a lost transaction to another one.)
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ws_server.store.engines.adapter import DatabaseRefused, InDoubt
from ws_server.store.engines.postgresql_driver import (
    CONNECT_WAIT,
    LOCK,
    READ,
    WRITE,
    driver_error,
    engine_for,
    explain,
    is_fault,
    redact,
)
from ws_server.store.ids import this_start
from ws_server.store.timeline import Timeline
from ws_server.threads import new_event_loop

log = logging.getLogger(__name__)

T = TypeVar("T")
AWAY_WAIT = 0.5
"""Seconds after a failed connection during which no other is attempted."""
DOUBT_WAIT = 10.0
"""Seconds to determine whether a commit is durable."""

COMMIT = (
    "INSERT INTO meta VALUES ('commit', '{}') ON CONFLICT (key) DO UPDATE SET value = "
    "excluded.value; COMMIT"
)


class PostgreSQL:
    """An `Adapter` for `postgresql+asyncpg://user:password@host:port/name`."""

    def __init__(self, url: URL) -> None:
        """Create the engine; no connection is opened yet."""
        self._url = url
        self._timeline = Timeline()
        self._engine = engine_for(self._url, bounded=True, timeline=self._timeline)
        self._failure = _RecentFailure()
        self._writer = _Writer(self._engine, self._failure)
        self._readers: list[_Connection] = []
        self._mine = threading.local()

    def prepare(self, change: Callable[[Connection], T]) -> T:
        self._writer.connect_and_lock()
        # A migration may take long, so it gets a connection without time limits. Meanwhile the
        # writer's lock excludes other servers.
        engine = engine_for(self._url, bounded=False, timeline=self._timeline)
        connection = _Connection(engine, self._failure)
        try:
            return connection.run(_written(connection, change))
        finally:
            connection.close()

    def read(self, question: Callable[[Connection], T], snapshot: bool = True) -> T:
        connection: _Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = _Connection(self._engine, self._failure)
            self._readers.append(connection)
        return connection.run(_asked(connection, question, snapshot))

    def write(self, change: Callable[[Connection], T]) -> T:
        return self._writer.run(_written(self._writer, change))

    def is_fault(self, error: Exception) -> bool:
        return is_fault(error)

    def redact(self, error: Exception) -> None:
        redact(error)

    def explain(self, error: Exception) -> str | None:
        return explain(self._url, error)

    def close(self) -> None:
        # In a thread without a running loop, because the caller may have one.
        with ThreadPoolExecutor(1) as threads:
            list(threads.map(_Connection.close, [self._writer, *self._readers]))


class _RecentFailure:
    """Remembers a failed connection for AWAY_WAIT, so that other threads do not try."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._why = ""

    def check(self) -> None:
        """Raise the reason of a recent failed connection."""
        if time.monotonic() < self._until:
            raise ConnectionError(self._why)

    def note(self, error: Exception) -> None:
        self._until = time.monotonic() + AWAY_WAIT
        self._why = str(error) or f"no answer within {CONNECT_WAIT:.0f} s"


class _Connection:
    """A connection, opened on demand, and the event loop that drives it."""

    def __init__(self, engine: AsyncEngine, failure: _RecentFailure) -> None:
        self._engine = engine
        self._failure = failure
        self._runner = asyncio.Runner(loop_factory=new_event_loop)
        self._connection: AsyncConnection | None = None
        self.driver: Any = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in this thread."""
        return self._runner.get_loop().run_until_complete(work)

    async def begin(self, begin: str) -> None:
        """Begin a transaction, on a new connection if the present one is broken."""
        if self.driver is not None:
            try:
                await self.driver.execute(begin, timeout=CONNECT_WAIT)
                return
            except Exception:
                await self.drop()
        await self.connect()
        await self.driver.execute(begin)

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """Run a function in the open transaction, which is rolled back if the function fails."""
        assert self._connection is not None
        try:
            return await self._connection.run_sync(_within, question)
        except Exception as error:
            redact(error)
            # asyncpg raises this if the connection ended within a call.
            broken = isinstance(driver_error(error), asyncpg.InternalClientError)
            if broken or self.driver.is_closed() or self._connection.invalidated:
                await self.drop()
                raise ConnectionError(f"the connection broke: {driver_error(error)}") from error
            await self.roll_back()
            raise

    async def roll_back(self) -> None:
        """End a failed transaction."""
        try:
            await self.driver.execute("ROLLBACK", timeout=CONNECT_WAIT)
        except Exception:
            await self.drop()

    async def connect(self) -> None:
        """Open the connection."""
        self._failure.check()
        try:
            self._connection = await self._engine.connect()
            raw = await self._connection.get_raw_connection()
            self.driver = raw.driver_connection
            await self.set_up()
        except Exception as error:
            await self.drop()
            self._failure.note(error)
            raise

    async def set_up(self) -> None:
        """Set up a new connection; overridden by the writer."""

    async def drop(self) -> None:
        """Terminate the connection, whatever its state."""
        connection, self._connection = self._connection, None
        if self.driver is not None:
            self.driver.terminate()
            self.driver = None
        if connection is not None:
            with suppress(Exception):
                await connection.invalidate()
            await connection.close()

    async def close_gracefully(self) -> None:
        """Close the connection gracefully, if PostgreSQL responds."""
        if self.driver is not None:
            with suppress(Exception):
                await self.driver.close(timeout=1)
        await self.drop()

    def close(self) -> None:
        """Close the connection and the loop."""
        self.run(self.close_gracefully())
        self._runner.close()


class _Writer(_Connection):
    """The writer's connection; it holds the lock that excludes other servers."""

    def __init__(self, engine: AsyncEngine, failure: _RecentFailure) -> None:
        super().__init__(engine, failure)
        self._process = 0

    def connect_and_lock(self) -> None:
        """Connect and acquire the lock."""
        self.run(self.connect())

    async def set_up(self) -> None:
        # Our previous connection's backend may still hold the lock.
        await self.driver.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND "
            f"(classid::bigint << 32) + objid::bigint = {LOCK} AND pid = {self._process}"
        )
        try:
            await self.driver.execute(f"SELECT pg_advisory_lock({LOCK})")
        except asyncpg.LockNotAvailableError:
            raise DatabaseRefused(
                "Another server uses this database. Stop it, or give another --database"
            ) from None
        self._process = self.driver.get_server_pid()
        encoding, fsync, commit = await self.driver.fetchrow(
            "SELECT current_setting('server_encoding'), current_setting('fsync'), "
            "current_setting('synchronous_commit')"
        )
        if encoding != "UTF8":
            raise DatabaseRefused(
                f"The database has the encoding {encoding}, which cannot hold every text. "
                "Create one with ENCODING 'UTF8' TEMPLATE template0"
            )
        if fsync == "off":
            log.warning("PostgreSQL runs with fsync off: a power cut may lose what was answered OK")
        if commit == "off":
            await self.driver.execute("SET synchronous_commit = on")


async def _asked(connection: _Connection, question: Callable[[Connection], T], snapshot: bool) -> T:
    if connection.driver is not None and not snapshot:
        # BEGIN and ROLLBACK would be two of three round trips.
        with suppress(ConnectionError):  # broke while idle: retried on a new connection
            return await connection.ask(question)
    await connection.begin(READ)
    answer = await connection.ask(question)
    await connection.roll_back()  # nothing was written
    return answer


_COUNTER = count(1)


async def _written(connection: _Connection, change: Callable[[Connection], T]) -> T:
    await connection.begin(WRITE)
    result = await connection.ask(change)
    name = f"{this_start()}.{next(_COUNTER):x}"
    try:
        await connection.driver.execute(COMMIT.format(name))
    except Exception as error:
        # An ERROR means that nothing was committed; any other exception leaves that open.
        if getattr(error, "severity_en", "") == "ERROR":
            redact(error)
            await connection.roll_back()
            raise
        await connection.drop()
        log.warning("PostgreSQL went away during a commit: %s", error)
        if not await _is_on_disk(connection, name):
            raise ConnectionError(f"the commit failed: {error}") from error
    return result


async def _is_on_disk(connection: _Connection, name: str) -> bool:
    """Return whether the transaction with this id was committed.

    Raises:
        InDoubt: PostgreSQL is not available again within DOUBT_WAIT.
    """
    deadline = time.monotonic() + DOUBT_WAIT
    while True:
        try:
            await connection.connect()
            return bool(
                await connection.driver.fetchval(
                    "SELECT value = $1 FROM meta WHERE key = 'commit'", name
                )
            )
        except Exception as error:
            await connection.drop()
            if time.monotonic() > deadline:
                raise InDoubt(f"a commit may be on disk or not: {error}") from error
        await asyncio.sleep(AWAY_WAIT / 2)


def _within(connection: Connection, question: Callable[[Connection], T]) -> T:
    # BEGIN and COMMIT are sent by this module; this is only SQLAlchemy's own bookkeeping.
    with connection.begin():
        return question(connection)
