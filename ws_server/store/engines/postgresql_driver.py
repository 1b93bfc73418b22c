"""Connections to PostgreSQL through asyncpg, and the meaning of their errors."""

from __future__ import annotations

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ws_server.store.engines.adapter import LOCK_WAIT, DatabaseRefused
from ws_server.store.engines.postgresql_bulk import Arrays
from ws_server.store.groups.group_memory import GroupMemory
from ws_server.store.timeline import Timeline

CONNECT_WAIT = 5.0
"""Seconds allowed for opening a connection, and for beginning a transaction."""
STATEMENT_WAIT = 10.0
"""Seconds after which PostgreSQL cancels a statement."""
ANSWER_WAIT = STATEMENT_WAIT + 2
"""Seconds to wait for any reply from PostgreSQL."""
PLANNING = {"random_page_cost": "1.1", "plan_cache_mode": "force_generic_plan"}
"""All queries look rows up by key, so one generic plan fits all parameters.

Random reads hit memory or an SSD. With PostgreSQL's default cost of 4, chosen for rotating disks,
it scans small tables (10,000 members to find 160). It also assumes ten elements in an array
parameter, and would replan for each shorter one: 0.4 to 0.8 ms, five times the cost of the query.
"""
LOCK = int.from_bytes(b"SimpleCh")
"""The advisory lock held by the only server that uses a database."""
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN"

_FAULTS = ("08", "25006", "28", "3D", "40", "42501", "53", "55P03", "57", "58", "XX")
"""SQLSTATEs, or their prefixes, of faults that may be temporary: a broken connection, a read-only
database, changed rights or names, too little memory, disk or connections, locks and timeouts, an
operator's intervention, a failing disk."""


def read_url(url: str) -> URL:
    """Return a database's URL with its driver.

    Raises:
        DatabaseRefused: it is malformed.
    """
    try:
        return make_url(url).set(drivername="postgresql+asyncpg")
    except (ArgumentError, ValueError) as error:
        raise DatabaseRefused(
            "--database: this URL cannot be read; it must look like "
            "postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME"
        ) from error


def engine_for(url: URL, *, bounded: bool, timeline: Timeline | None = None) -> AsyncEngine:
    """Return an engine whose connections limit a statement to STATEMENT_WAIT, or do not limit it.

    Args:
        bounded: Whether there are limits; False for migrations and copies of a whole database.
        timeline: The database's timeline, if messages are written on these connections.
    """
    settings = {"application_name": "simple-chatting", "lock_timeout": _milliseconds(LOCK_WAIT)}
    settings |= PLANNING
    settings["statement_timeout"] = _milliseconds(STATEMENT_WAIT if bounded else 0)
    return create_async_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # they contain user data, and errors are logged
        connect_args={
            "timeout": CONNECT_WAIT,
            "command_timeout": ANSWER_WAIT if bounded else None,
            "server_settings": settings,
        },
        execution_options={"bulk": Arrays(), "timeline": timeline, "groups": GroupMemory()},
    )


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def driver_error(error: Exception) -> BaseException:
    """Return the driver's own exception."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def redact(error: BaseException | None) -> None:
    """Remove user data from an exception before it is logged."""
    while error is not None:
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
        elif isinstance(error, asyncpg.DataError):
            error.args = ("a value does not fit its column",)
        error = error.__cause__ or error.__context__


def explain(url: URL, error: Exception) -> str | None:
    """Return, for the operator, why the database cannot be used; None if `error` is a bug."""
    if isinstance(error, TypeError):  # an option in the URL that asyncpg does not accept
        return f"--database: {error}"
    if not is_fault(error) and not isinstance(error, asyncpg.InterfaceError):
        return None
    # An unescaped @ in the password makes part of the password appear in the host.
    host = (url.host or "").rpartition("@")[2] or None
    shown = URL.create("postgresql+asyncpg", url.username, None, host, url.port, url.database)
    fault = driver_error(error)
    why = str(fault).rstrip(".") or f"no answer within {CONNECT_WAIT:.0f} s"
    hint = "Start PostgreSQL" if isinstance(fault, OSError) else "Fix this in PostgreSQL"
    return f"{shown}: {why}. {hint}, or correct --database"


def is_fault(error: Exception) -> bool:
    """Return whether an error is a fault of PostgreSQL or its connection, and not a bug."""
    fault = driver_error(error)
    state = getattr(fault, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_FAULTS)
    return isinstance(fault, OSError | DatabaseRefused)
