"""One transaction on PostgreSQL that reads or creates a whole database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.engines.postgresql_driver import LOCK, READ, WRITE, engine_for, explain

T = TypeVar("T")


async def transact(url: URL, work: Callable[[Connection], T], *, writes: bool) -> T:
    """Run `work(tx)` in one transaction, without a time limit.

    Raises:
        DatabaseRefused: the database does not answer; with `writes`, a server uses it.
    """
    engine = engine_for(url, bounded=False)
    try:
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            if writes and not await driver.fetchval(f"SELECT pg_try_advisory_lock({LOCK})"):
                raise DatabaseRefused("A server uses this database; stop it first")
            await driver.execute(WRITE if writes else READ)
            done = await connection.run_sync(_within, work)
            await driver.execute("COMMIT")
            return done
    except Exception as error:
        why = explain(url, error)
        if why is None or isinstance(error, DatabaseRefused):
            raise
        raise DatabaseRefused(why) from error
    finally:
        await engine.dispose()


def _within(connection: Connection, work: Callable[[Connection], T]) -> T:
    # BEGIN and COMMIT are sent by this module; this is only SQLAlchemy's own bookkeeping.
    with connection.begin():
        return work(connection)
