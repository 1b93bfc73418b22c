"""The journal: the only writer. Entries that arrive during a commit share the next one.

Many entries are written in one transaction with one fsync. Entries of one network are written in
the order of posting; `write_queue.py` chooses the network. After the commit, each entry's `done` is
called in the same order. A fault of the store refuses the whole batch and leaves no trace of it.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from itertools import groupby, islice
from operator import attrgetter
from time import perf_counter
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.durations import Durations
from ws_server.store import messages
from ws_server.store.cache import Cache
from ws_server.store.database import Database, current_payer
from ws_server.store.drafts import MessageEntry
from ws_server.store.entries import Entry, Mutation, Together
from ws_server.store.groups.group_memory import group_memory
from ws_server.store.messages import Progress
from ws_server.store.steps import answer_all
from ws_server.store.timeline import wall_ms
from ws_server.store.write_queue import WriteQueue, too_many

log = logging.getLogger(__name__)

MAX_BATCH = 512
"""Entries in one transaction; bounds the duration of a commit."""
FAILED = "The server failed; nothing was done"
BATCH_SECONDS = 0.02
"""A transaction writes no further entry after so long; the rest go into the next one."""
AGAIN_AT_ONCE = 64
"""Messages between two looks at the clock when a batch is written again, which takes longer."""
REST_SECONDS = 0.02
"""Pause before the queue is asked again, while all that wait have spent their time."""


class Journal:
    """The queue in front of the journal's thread; its methods belong to the event loop."""

    def __init__(self, database: Database, cache: Cache, secret: bytes = b"") -> None:
        """Start the journal's thread.

        Args:
            secret: Signs the ids of posts for other realms' groups; see `authorship.Post`.
        """
        self._database = database
        self._secret = secret
        self._cache = cache
        self._loop = asyncio.get_running_loop()
        self._waiting = WriteQueue()
        self._batches: queue.SimpleQueue[list[Entry] | None] = queue.SimpleQueue()
        self._busy = False
        self._scheduled = False
        self._again: asyncio.TimerHandle | None = None
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.commits = 0
        self.failed_commits = 0
        self.entries = 0
        self.commit_seconds = Durations()
        self.push_seconds = Durations()
        """From the end of a commit until its replies and pushes are written to the connections."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of queued entries whose transaction has not begun."""
        return len(self._waiting)

    def post(self, entry: Entry) -> None:
        """Enqueue an entry; its `done` is called once it is durable, or refused.

        Raises:
            ChatError: UNAVAILABLE, the queue is full or the server is stopping.
        """
        if self._closed:
            raise too_many()
        self._waiting.add(entry)
        self._idle.clear()
        if not self._busy and not self._scheduled:
            # Deferred to the end of this pass of the loop, so that all its frames share one commit.
            self._scheduled = True
            self._loop.call_soon(self._begin)

    async def write(
        self,
        change: Callable[[Connection, int], Any] | Mutation,
        then: Callable[[Any], None] | None = None,
    ) -> Any:
        """Run `change(tx, now)` in the next transaction; return its result once it is durable.

        Args:
            then: Called with the result once it is durable, in commit order, even if the caller was
                cancelled.

        Raises:
            ChatError: raised by `change`, or UNAVAILABLE.
        """
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(entry: Mutation) -> None:
            if entry.error is None and then is not None:
                then(entry.result)
            if future.cancelled():
                return
            if entry.error is not None:
                future.set_exception(entry.error)
            else:
                future.set_result(entry.result)

        entry = change if isinstance(change, Mutation) else Mutation(change)
        entry.done = done
        entry.payer = current_payer.get()
        self.post(entry)
        return await future

    async def close(self) -> None:
        """Write the queued entries, then end the thread."""
        self._closed = True
        await self._idle.wait()
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _begin(self) -> None:
        self._scheduled = False
        if self._busy or not self._waiting:
            return
        batch = self._waiting.take(MAX_BATCH, self._closed)
        if not batch:
            if self._again is None:
                self._again = self._loop.call_later(REST_SECONDS, self._begin_again)
            return
        for entry in batch:
            if type(entry) is MessageEntry and entry.cached is None:
                entry.cached = self._cache.get(entry.draft.sender, entry.draft.target)
        self._busy = True
        self._idle.clear()
        self._batches.put(batch)

    def _begin_again(self) -> None:
        self._again = None
        self._begin()

    def _committed(
        self,
        batch: list[Entry],
        progress: Progress | None,
        spent: Mapping[Hashable, float],
        began: float,
        ended: float,
    ) -> None:
        self._busy = False
        self._waiting.spend(spent)
        self.commit_seconds.add(ended - began)
        if progress is not None:
            # Before the next batch is built, which would look the same conversations up again.
            for conversation in progress.found.values():
                self._cache.put(conversation)
            self._put_back(batch, progress.entries)
            self.commits += 1
            self.entries += len(batch)
        else:
            self.failed_commits += 1
        # The next commit runs while the loop publishes this one.
        self._begin()
        published: dict[Hashable, float] = {}
        since = perf_counter()
        for payer, entries in groupby(batch, attrgetter("payer")):
            for entry in entries:
                try:
                    if entry.done is not None:
                        entry.done(entry)
                except Exception:
                    log.exception("an entry that is on disk was not answered")
            after = perf_counter()
            published[payer] = published.get(payer, 0.0) + after - since
            since = after
        self._waiting.spend(published)
        # Behind the connections, which write at the end of this pass of the loop.
        self._loop.call_soon(self._pushed, ended)
        if not self._busy and not self._waiting:
            self._idle.set()

    def _put_back(self, batch: list[Entry], count: int) -> None:
        """Put the entries that were not written back in front of their queues."""
        late = batch[count:]
        del batch[count:]
        for entry in late:
            if type(entry) is MessageEntry:
                entry.cached = None
        self._waiting.put_back(late)

    def _pushed(self, since: float) -> None:
        self.push_seconds.add(perf_counter() - since)

    # Everything below runs in the journal's thread.

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            began = perf_counter()
            spent: dict[Hashable, float] = {}
            progress = self._commit(batch, spent)
            ended = perf_counter()
            self._loop.call_soon_threadsafe(self._committed, batch, progress, spent, began, ended)

    def _commit(self, batch: list[Entry], spent: dict[Hashable, float]) -> Progress | None:
        """Commit a batch and return its progress; or refuse all of it and return None.

        Adds the seconds of each payer to `spent`.
        """
        write = self._database.write
        try:
            try:
                progress = write(partial(self._write, batch, spent))
            except Exception as error:
                if self._database.unavailable(error) is not None:
                    raise
                # Stale, refused, or a bug in one entry: the other entries are written again.
                progress = write(partial(self._write, batch, spent, again=True))
        except Exception as error:
            refusal = self._database.unavailable(error)
            if refusal is None:
                log.exception("a batch of %d entries was refused", len(batch))
                refusal = ChatError(ErrorCode.INTERNAL, FAILED)
            else:
                log.error("the store refused a batch of %d entries: %s", len(batch), cause(error))
            for entry in batch:
                entry.error = refusal
                if entry.chain is not None:
                    entry.chain.broken = True
            return None
        for id, (conversation, seq, time) in progress.moved.items():
            conversation.last_seq, conversation.last_time = seq, time
            if id in progress.found:
                progress.found[id] = conversation  # another copy of it may be stale
        return progress

    def _write(
        self,
        batch: list[Entry],
        spent: dict[Hashable, float],
        tx: Connection,
        again: bool = False,
    ) -> Progress:
        """Write as many entries as BATCH_SECONDS allow; return the changes to conversations.

        Raises:
            Stale, _Refused: the batch has to be written `again`, each change in its own savepoint.
        """
        progress = Progress()
        now = wall_ms()
        end = perf_counter() + BATCH_SECONDS
        for entries in _runs(batch, again):
            since = perf_counter()
            try:
                self._write_run(tx, entries, now, progress, again)
            finally:
                after = perf_counter()
                each = (after - since) / len(entries)  # nobody knows what each took of it
                for payer, count in Counter(entry.payer for entry in entries).items():
                    spent[payer] = spent.get(payer, 0.0) + each * count
            progress.entries += len(entries)
            if after > end:
                break
        return progress

    def _write_run(
        self, tx: Connection, entries: list[Entry], now: int, progress: Progress, again: bool
    ) -> None:
        kind = type(entries[0])
        if kind is MessageEntry:
            drafts = cast("list[MessageEntry]", entries)
            if again:
                messages.reload(tx, drafts, progress)
            messages.write(tx, drafts, now, progress, again, self._secret)
        elif kind is Together and not again:
            self._apply_all(tx, cast("list[Together]", entries), now)
        else:
            for entry in cast("list[Mutation]", entries):
                self._apply(tx, entry, now, again)

    def _apply_all(self, tx: Connection, entries: list[Together], now: int) -> None:
        results = answer_all(tx, [entry.steps(now) for entry in entries])
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, ChatError):
                raise _Refused
            entry.error, entry.result = None, result

    def _apply(self, tx: Connection, entry: Mutation, now: int, again: bool) -> None:
        entry.error = None
        if not again:
            # Refusals are rare, and a savepoint for each change costs two round trips.
            try:
                entry.result = entry.change(tx, now)
            except ChatError:
                raise _Refused from None
            return
        tx.exec_driver_sql("SAVEPOINT entry")
        try:
            entry.result = entry.change(tx, now)
        except Exception as error:
            if isinstance(error, ChatError):
                entry.error = error.with_traceback(None)
            elif self._database.unavailable(error) is not None:
                raise
            else:
                self._database.redact(error)
                log.exception("a change was refused")
                entry.error = ChatError(ErrorCode.INTERNAL, FAILED)
                if entry.chain is not None:
                    entry.chain.broken = True
            tx.exec_driver_sql("ROLLBACK TO SAVEPOINT entry")
            group_memory(tx).begin()
        tx.exec_driver_sql("RELEASE SAVEPOINT entry")


def _runs(batch: list[Entry], again: bool) -> Iterator[list[Entry]]:
    """Split a batch, in its order, into runs that are written at once."""
    for kind, run in groupby(batch, type):
        is_alone = kind is Mutation or (again and kind is Together)
        most = 1 if is_alone else AGAIN_AT_ONCE if again else len(batch)
        while some := list(islice(run, most)):
            yield some


class _Refused(Exception):
    """A change was refused outside a savepoint, so the whole batch is rolled back."""


def cause(error: Exception) -> str:
    """Return the database's own message, without the statement and its parameters."""
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)
