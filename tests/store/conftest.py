"""Fixtures: a realm and a transaction, on SQLite and on PostgreSQL."""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.world import World
from ws_server.store.database import Database


@pytest.fixture
async def world(tmp_path: Path, database_url: str) -> AsyncIterator[World]:
    """A realm with three users."""
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob", "carol")
        yield world


class _Over(Exception):
    """Raised at the end of a test, to roll its transaction back."""


class _Lent:
    """A `Connection` for tests; its transaction runs in a thread, like those of the store."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None]
        self._jobs = queue.SimpleQueue()

    def live(self, tx: Connection) -> None:
        """Run the test's calls until it ends."""
        while (job := self._jobs.get()) is not None:
            call, answer = job
            try:
                answer.set_result(call(tx))
            except BaseException as error:
                answer.set_exception(error)
        raise _Over

    def end(self) -> None:
        self._jobs.put(None)

    def run(self, question: Callable[[Connection], Any]) -> Any:
        """Run a query on the driver itself and return its rows."""
        answer: Future[Any] = Future()
        self._jobs.put((question, answer))
        return answer.result(20)

    @property
    def dialect(self) -> Any:
        return self.run(lambda tx: tx.dialect)

    def get_execution_options(self) -> Any:
        return {**self.run(lambda tx: tx.get_execution_options()), "bulk": _LentBulk(self)}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self.run(lambda tx: getattr(tx, name)(*args, **options))


class _LentBulk:
    """The `Bulk` of a `_Lent`; its statements run in the transaction's thread."""

    def __init__(self, lent: _Lent) -> None:
        self._lent = lent

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def there(tx: Connection, *args: Any) -> Any:
            return getattr(tx.get_execution_options()["bulk"], name)(tx, *args)

        return lambda _, *args: self._lent.run(lambda tx: there(tx, *args))


@pytest.fixture
def tx(database_url: str) -> Iterator[Any]:
    """A transaction on a new database."""
    database = Database.open(database_url)
    lent = _Lent()
    with ThreadPoolExecutor(1) as thread:
        living = thread.submit(database.write, lent.live)
        yield lent
        lent.end()
        assert isinstance(living.exception(), _Over)
    database.close()
