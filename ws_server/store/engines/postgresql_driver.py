"""Connections to PostgreSQL by asyncpg, and what their faults mean."""

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
"""Seconds a connection may take to be made, and a transaction to begin."""
STATEMENT_WAIT = 10.0
"""Seconds a statement may take; PostgreSQL ends it then."""
ANSWER_WAIT = STATEMENT_WAIT + 2
"""Seconds to wait for any answer from PostgreSQL."""
PLANNING = {"random_page_cost": "1.1", "plan_cache_mode": "force_generic_plan"}
"""Every question looks rows up by their keys, so one plan fits whatever is asked for.

What is read in no order is in memory or on an SSD. With PostgreSQL's own cost of 4, made for disks
that turn, it reads the whole of a small table (10,000 members for 160 of them). And it takes an
array for ten rows: it would plan anew each time that one is shorter, for 0.4 to 0.8 ms, which is
five times what the question itself costs.
"""
LOCK = int.from_bytes(b"SimpleCh")
"""The advisory lock that the one server of a database holds."""
READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN"

_FAULTS = ("08", "25006", "28", "3D", "40", "42501", "53", "55P03", "57", "58", "XX")
"""SQLSTATEs, or their beginnings, of what may pass: the connection, a database that takes no
writes, rights and names that an operator changed, too little memory, disk or connections, locks and
timeouts, an operator who intervenes, the disk."""


def read_url(url: str) -> URL:
    """Return a database's URL with its driver.

    Raises:
        DatabaseRefused: it cannot be read.
    """
    try:
        return make_url(url).set(drivername="postgresql+asyncpg")
    except (ArgumentError, ValueError) as error:
        raise DatabaseRefused(
            "--database: this URL cannot be read; it must look like "
            "postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME"
        ) from error


def engine_for(url: URL, *, bounded: bool, timeline: Timeline | None = None) -> AsyncEngine:
    """Return what makes connections, on which a statement may take STATEMENT_WAIT or for ever.

    Args:
        timeline: Of the database, if messages are written on these connections.
    """
    settings = {"application_name": "simple-chatting", "lock_timeout": _milliseconds(LOCK_WAIT)}
    settings |= PLANNING
    settings["statement_timeout"] = _milliseconds(STATEMENT_WAIT if bounded else 0)
    return create_async_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # they hold what people wrote, and errors are logged
        connect_args={
            "timeout": CONNECT_WAIT,
            "command_timeout": ANSWER_WAIT if bounded else None,
            "server_settings": settings,
        },
        execution_options={"bulk": Arrays(), "timeline": timeline, "groups": GroupMemory()},
    )


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def said(error: Exception) -> BaseException:
    """Return the driver's own exception."""
    return (error.orig or error) if isinstance(error, DBAPIError) else error


def redact(error: BaseException | None) -> None:
    """Take out of an exception, which may be logged, what people wrote."""
    while error is not None:
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
        elif isinstance(error, asyncpg.DataError):
            error.args = ("a value does not fit its column",)
        error = error.__cause__ or error.__context__


def explain(url: URL, error: Exception) -> str | None:
    """Return for the operator why the database cannot be used; None if `error` is a bug."""
    if isinstance(error, TypeError):  # an option in the URL that asyncpg does not know
        return f"--database: {error}"
    if not is_fault(error) and not isinstance(error, asyncpg.InterfaceError):
        return None
    # A password with an @ that is not written as %40 reaches into the host.
    host = (url.host or "").rpartition("@")[2] or None
    shown = URL.create("postgresql+asyncpg", url.username, None, host, url.port, url.database)
    fault = said(error)
    why = str(fault).rstrip(".") or f"no answer within {CONNECT_WAIT:.0f} s"
    hint = "Start PostgreSQL" if isinstance(fault, OSError) else "Make what it names"
    return f"{shown}: {why}. {hint}, or correct --database"


def is_fault(error: Exception) -> bool:
    """Tell a fault of PostgreSQL or of the way to it from a bug of ours."""
    fault = said(error)
    state = getattr(fault, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_FAULTS)
    return isinstance(fault, OSError | DatabaseRefused)
