"""One SQL database: opening, migrating, reading in threads, writing.

Store queries are functions `question(tx, ...)` on a SQLAlchemy connection. They run in a reader
thread (`Database.read`) or inside the journal's transaction, never on the event loop. Queries that
many users may send at once are generators; see `steps`. Code for one kind of database is only in
`sqlite*` and `postgresql*`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context, ContextVar
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import URL

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.engines import sqlite_file
from ws_server.store.engines.adapter import READERS, Adapter, DatabaseRefused, InDoubt
from ws_server.store.engines.sqlite import SQLite
from ws_server.store.groups.group_memory import GroupMemory, group_memory
from ws_server.store.migrating import migrate
from ws_server.store.schema import meta
from ws_server.store.steps import Steps, answer_all
from ws_server.store.timeline import timeline
from ws_server.threads import FairThreadPool

P = ParamSpec("P")
T = TypeVar("T")

current_requester: ContextVar[Hashable] = ContextVar("current_requester", default="")
"""The requester of the running command: a user id, or the address of a client not signed in."""
current_payer: ContextVar[str | None] = ContextVar("current_payer", default=None)
"""The network that is charged for the time of its queries; None if there is no charge."""

MAX_WAITING_READS = 10_000
MAX_WAITING_READS_EACH = 1_000


def charged_to(requester: Hashable, payer: str | None) -> Context:
    """Return a context for work that somebody asks for; all tasks begun in it are charged so."""
    context = Context()
    context.run(current_requester.set, requester)
    context.run(current_payer.set, payer)
    return context


def read_url(text: str) -> URL:
    """Return the URL of a database that an operator specified.

    Raises:
        DatabaseRefused: it is malformed, or the kind of database is not supported.
    """
    if text.startswith(sqlite_file.PREFIX):
        return sqlite_file.read_url(text)
    if text.startswith(("postgresql+asyncpg://", "postgresql://")):
        from ws_server.store.engines import postgresql_driver

        return postgresql_driver.read_url(text)
    raise DatabaseRefused(
        "--database must be sqlite:///PATH or postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME"
    )


def adapter_for(url: URL | str) -> Adapter:
    """Return the adapter for a database's URL; no connection is opened yet.

    Args:
        url: A URL, or a text as accepted by `read_url`.

    Raises:
        DatabaseRefused: the URL is malformed.
    """
    if isinstance(url, str):
        url = read_url(url)
    path = sqlite_file.file_of(url)
    if path is not None:
        return SQLite(path)
    # Imported here, so that servers on SQLite do not load the driver.
    from ws_server.store.engines.postgresql import PostgreSQL

    return PostgreSQL(url)


class Database:
    """An open database with the newest schema."""

    def __init__(self, adapter: Adapter, history: str) -> None:
        self._adapter = adapter
        self.history_id = history
        self._threads = FairThreadPool(
            "read",
            READERS,
            each_at_once=READERS // 2,
            most=MAX_WAITING_READS,
            most_each=MAX_WAITING_READS_EACH,
        )

    @classmethod
    def open(cls, url: URL | str) -> Database:
        """Open and migrate the database; blocks.

        Args:
            url: A URL, or a text as accepted by `read_url`.

        Raises:
            DatabaseRefused: it does not answer, is used by another server or was made by a newer
                version.
        """
        adapter = adapter_for(url)
        try:
            return cls(adapter, adapter.prepare(_prepare))
        except DatabaseRefused:
            adapter.close()
            raise
        except Exception as error:
            adapter.close()
            why = adapter.explain(error)
            if why is None:
                raise
            raise DatabaseRefused(why) from error

    @property
    def waiting(self) -> int:
        """The number of queries queued for a reader thread."""
        return self._threads.waiting

    async def read(
        self, question: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `question(tx, ...)` in a reader thread, on one snapshot of the database.

        Requesters (`current_requester`) take turns; networks (`current_payer`) are charged for the
        time used.

        Raises:
            ChatError: UNAVAILABLE, the store does not answer or too many queries are queued.
        """

        def ask() -> T:
            return self._adapter.read(lambda tx: question(tx, *args, **kwargs))

        return await self._asked(
            self._threads.run(current_requester.get(), ask, current_payer.get())
        )

    async def look_up(
        self, question: Callable[P, Steps[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Answer a query in steps, each of which may see a different state of the database.

        Queries that are sent at the same time share their statements.

        Raises:
            ChatError: as `read`, or raised by the query.
        """
        return await self._asked(
            self._threads.share(
                current_requester.get(),
                self._answer,
                partial(question, *args, **kwargs),
                current_payer.get(),
            )
        )

    def charge(self, payer: str | None, seconds: float) -> None:
        """Charge a network for time used outside the database, before its next query runs."""
        self._threads.charge(payer, seconds)

    async def _asked(self, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except Exception as error:
            raise self.unavailable(error) or error from error

    def _answer(self, questions: Sequence[Callable[[], Steps[T]]]) -> list[T | Exception]:
        """Answer queries that were sent at the same time; runs in a reader thread."""
        try:
            return list(
                self._adapter.read(
                    lambda tx: answer_all(tx, [question() for question in questions]), False
                )
            )
        except Exception as error:  # noqa: BLE001 - returned to each requester
            if len(questions) == 1 or self.unavailable(error) is not None:
                return [error] * len(questions)
        # A bug in one query: run each alone, so that the others succeed.
        return [found for question in questions for found in self._answer([question])]

    def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change(tx)` in a transaction that is durable on return; for the journal's thread."""
        memory: GroupMemory | None = None

        def run(tx: Connection) -> T:
            nonlocal memory
            memory = group_memory(tx)
            memory.begin()
            return change(tx)

        made = self._adapter.write(run)
        assert memory is not None
        memory.commit()
        return made

    def unavailable(self, error: Exception) -> ChatError | None:
        """Return the refusal for a fault of the store; None if `error` is a bug in our code."""
        if isinstance(error, InDoubt):
            return ChatError(
                ErrorCode.UNAVAILABLE,
                "The database disconnected during the commit, so this may be stored or not; "
                "check, or send it again with the same idempotency_key",
            )
        if self._adapter.is_fault(error):
            return ChatError(ErrorCode.UNAVAILABLE, "The database is unavailable; nothing was done")
        if isinstance(error, OSError):
            return ChatError(ErrorCode.UNAVAILABLE, "The disk failed; nothing was done")
        return None

    def redact(self, error: Exception) -> None:
        """Remove user data from an exception before it is logged."""
        self._adapter.redact(error)

    def close(self) -> None:
        """Close all connections; blocks until running queries have ended."""
        self._threads.close()
        self._adapter.close()


def _prepare(tx: Connection) -> str:
    migrate(tx)
    timeline(tx).resume(tx)
    name = history_id(tx)
    # A write: a read-only database fails here, rather than at the first user's message.
    tx.execute(update(meta).where(meta.c.key == "epoch").values(value=name))
    return name


def history_id(tx: Connection) -> str:
    """Return the id of this history, created once, and again when a backup is restored."""
    found = tx.scalar(select(meta.c.value).where(meta.c.key == "epoch"))
    if found is not None:
        return str(found)
    made = secrets.token_hex(8)
    tx.execute(insert(meta).values(key="epoch", value=made))
    return made
