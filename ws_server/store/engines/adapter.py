"""The interface of a database, implemented by `sqlite` and `postgresql`."""

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
"""Threads that run queries."""
LOCK_WAIT = 2.0
"""Seconds to wait for a lock held by another process before refusing with `unavailable`."""


class DatabaseRefused(Exception):
    """The database cannot be used; the text tells the operator how to fix that."""


class InDoubt(Exception):
    """The database disconnected during a commit, which may or may not be durable."""


class Adapter(Protocol):
    """One database. Its methods block and are called from threads, never from an event loop."""

    def prepare(self, change: Callable[[Connection], T]) -> T:
        """Run the first transaction, without a time limit.

        Raises:
            DatabaseRefused: another server uses the database, or it is unsuitable.
        """

    def read(self, question: Callable[[Connection], T], snapshot: bool = True) -> T:
        """Run `question(tx)` read-only; up to READERS threads at a time.

        Args:
            snapshot: Whether all its statements must see the same state of the database.
        """

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change(tx)` in a transaction that is durable on return; one thread at a time.

        Raises:
            InDoubt: the transaction may or may not be durable. After any other exception it is
                rolled back.
        """

    def is_fault(self, error: Exception) -> bool:
        """Return whether an error is a fault of the database, which may be temporary, or a bug."""

    def redact(self, error: Exception) -> None:
        """Remove user data from an exception before it is logged."""

    def explain(self, error: Exception) -> str | None:
        """Return, for the operator, why the database cannot be used; None if `error` is a bug."""

    def close(self) -> None:
        """Close all connections, after all calls have ended."""


@dataclass(frozen=True, eq=False, slots=True)
class Statement:
    """A statement over many input rows; each database compiles it once, in its own dialect."""

    given: tuple[ColumnClause[Any], ...]
    """Names and types of the input rows' columns."""
    about: Callable[[FromClause], ClauseElement]
    """Returns the statement, given the input rows as a table; it has no other parameters."""
    each: bool = False
    """Few input rows with many results each; a database may look them up one after the other."""


class Bulk(Protocol):
    """Bulk statements on the driver itself; the execution option `bulk` of `tx`."""

    def fetch(self, tx: Connection, sql: str, parameters: Sequence[object]) -> Sequence[Any]:
        """Run a query in the driver's own SQL and return its rows."""

    def ask(self, tx: Connection, statement: Statement, rows: Rows) -> Sequence[Any]:
        """Return the rows of a query, in no order."""

    def change(self, tx: Connection, statement: Statement, rows: Rows) -> int:
        """Run a statement and return the number of rows changed."""

    def insert(self, tx: Connection, columns: Columns, rows: Rows) -> None:
        """Insert rows given as these columns of one table."""

    def get_ready(
        self, tx: Connection, statements: Iterable[Statement], tables: Iterable[Columns]
    ) -> None:
        """Compile statements and insertions ahead of their first use."""


def bulk_of(tx: Connection) -> Bulk:
    """Return the bulk statements of a transaction's database."""
    return cast(Bulk, tx.get_execution_options()["bulk"])
