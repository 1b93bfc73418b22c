"""What a kind of database must offer; `sqlite` and `postgresql` do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, Connection

T = TypeVar("T")
Columns = tuple[Column[Any], ...]
Move = tuple[int, int, int, int, int, int]
"""A conversation's id, version and last_seq, then its new last_seq, last_time and activity."""
READERS = 4
"""Threads that ask questions."""
LOCK_WAIT = 2.0
"""Seconds to wait for somebody who holds the database before answering `unavailable`."""


class DatabaseRefused(Exception):
    """The database cannot be used; the text tells the operator what to do."""


class InDoubt(Exception):
    """A commit was under way when the database went away; it may be on disk or not."""


class Adapter(Protocol):
    """One database. Its methods block and are called from threads, never from an event loop."""

    def prepare(self, change: Callable[[Connection], T]) -> T:
        """Run the first transaction, which may take as long as it likes.

        Raises:
            DatabaseRefused: another server uses the database, or it is unfit.
        """

    def read(self, question: Callable[[Connection], T], snapshot: bool = True) -> T:
        """Run `question(tx)`, read only; up to READERS threads at a time.

        Args:
            snapshot: All its statements see one state of the database. If they need not, each
                may see the state as it is then.
        """

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change(tx)` in a transaction that is on disk on return; one thread at a time.

        Raises:
            InDoubt: nobody can tell whether it is on disk. After any other exception it is not.
        """

    def is_fault(self, error: Exception) -> bool:
        """Tell a fault of the database, which may pass, from a bug of ours."""

    def hush(self, error: Exception) -> None:
        """Take out of an exception, which is to be logged, what people wrote."""

    def explain(self, error: Exception) -> str | None:
        """Return for the operator why the database cannot be used; None if `error` is a bug."""

    def close(self) -> None:
        """Close all connections; nothing runs any more."""


class Bulk(Protocol):
    """Statements on the driver itself; found at `tx` as its execution option `bulk`."""

    def fetch(
        self, tx: Connection, sql: str, parameters: Sequence[object]
    ) -> Iterable[Sequence[Any]]:
        """Run a question in the driver's own SQL and return its rows."""

    def find_keys(self, tx: Connection, keys: Sequence[tuple[int, str]]) -> Iterable[Sequence[Any]]:
        """Return the columns `bulk.KEYED` of the messages under these (sender, key)."""

    def insert(self, tx: Connection, columns: Columns, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert rows given as these columns of one table."""

    def move_conversations(self, tx: Connection, moved: Sequence[Move]) -> int:
        """Move conversations that have the version and last_seq given; return how many have."""
