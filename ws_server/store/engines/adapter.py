"""What a kind of database must offer; `sqlite` and `postgresql` do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Column, ColumnClause, Connection, FromClause
from sqlalchemy.sql import ClauseElement

T = TypeVar("T")
Columns = tuple[Column[Any], ...]
Rows = Sequence[tuple[object, ...]]
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

    def redact(self, error: Exception) -> None:
        """Take out of an exception, which is to be logged, what people wrote."""

    def explain(self, error: Exception) -> str | None:
        """Return for the operator why the database cannot be used; None if `error` is a bug."""

    def close(self) -> None:
        """Close all connections; nothing runs any more."""


@dataclass(frozen=True, eq=False, slots=True)
class Statement:
    """A statement about many rows that are given; each database compiles it once, in its way."""

    given: tuple[ColumnClause[Any], ...]
    """Names and types of the columns of those rows."""
    about: Callable[[FromClause], ClauseElement]
    """Returns the statement about them; it has no other parameters."""
    each: bool = False
    """It finds many rows for each of few, which are looked up one after the other."""


class Bulk(Protocol):
    """Statements on the driver itself; found at `tx` as its execution option `bulk`."""

    def fetch(self, tx: Connection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        """Run a question in the driver's own SQL and return its rows."""

    def ask(self, tx: Connection, statement: Statement, rows: Rows) -> Sequence[Any]:
        """Return the rows that a statement returns, in no order."""

    def change(self, tx: Connection, statement: Statement, rows: Rows) -> int:
        """Return how many rows a statement changed."""

    def insert(self, tx: Connection, columns: Columns, rows: Rows) -> None:
        """Insert rows given as these columns of one table."""

    def get_ready(
        self, tx: Connection, statements: Iterable[Statement], tables: Iterable[Columns]
    ) -> None:
        """Compile statements and insertions, so that nobody waits for it at their first use."""


def bulk_of(tx: Connection) -> Bulk:
    """Return the statements on the driver of a transaction's database."""
    return cast(Bulk, tx.get_execution_options()["bulk"])
