"""Thread pools in which requesters are served in turn, and threads of low priority."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import thread_time
from typing import Any, TypeVar, cast

from shared.protocol.errors import ChatError, ErrorCode
from shared.token_buckets import Buckets

try:
    from uvloop import new_event_loop
except ImportError:  # uvloop has no build for Windows
    from asyncio import new_event_loop  # type: ignore[assignment]

__all__ = ["FairThreadPool", "lower_priority", "new_event_loop", "switch_often", "too_many"]

T = TypeVar("T")
A = TypeVar("A")
Work = Callable[[Sequence[A]], Sequence[T | Exception]]
"""Runs several equal jobs; returns for each its result or the exception to raise."""
TOGETHER = 16
"""Jobs run together, if they are equal and wait at the same time."""
SWITCH_SECONDS = 0.001
"""Seconds after which a thread that runs Python code yields to another. With Python's default of 5
ms, the event loop waited that long at each of the ten steps of a message while threads read
much."""
PAID_RATE, PAID_BURST = 0.5, 0.1
"""Seconds of CPU time that the jobs of one payer may use: in each second, and at once."""
DEPOSIT = 0.01
"""Seconds charged for a job until it has run. Without it, the first burst of a payer could start
any number of expensive jobs, as their cost is known only afterwards."""
REST_SECONDS = 0.02
"""Seconds until the balance of a payer in debt is checked again."""


@dataclass(slots=True)
class _Job:
    """A job, and the future that its requester awaits."""

    work: Work[Any, Any]
    argument: Any
    future: asyncio.Future[Any]
    payer: Hashable


class FairThreadPool:
    """A few threads, and one queue for each requester; the queues are served in turn.

    Many jobs of one requester therefore delay only that requester. Threads share one interpreter
    with the event loop, so CPU time is charged to a payer. A payer who has spent too much waits
    until it is paid back.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        *,
        each_at_once: int,
        most: int,
        most_each: int,
        initializer: Callable[[], None] | None = None,
    ) -> None:
        """Start without threads.

        Args:
            each_at_once: Jobs of one requester that may run at the same time.
            most: Jobs that may wait; above, the requester with most jobs loses the last one.
            most_each: Jobs of one requester that may wait.
        """
        self._pool = ThreadPoolExecutor(threads, name, initializer=initializer)
        self._free = threads
        self._each_at_once = each_at_once
        self._most = most
        self._most_each = most_each
        self._waiting: OrderedDict[Hashable, deque[_Job]] = OrderedDict()
        self._running: Counter[Hashable] = Counter()
        self._count = 0
        self._paid = Buckets(PAID_RATE, PAID_BURST)
        self._paying: Counter[Hashable] = Counter()
        """Running jobs, by payer."""
        self._again: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._count

    async def run(self, who: Hashable, job: Callable[[], T], payer: Hashable = None) -> T:
        """Run a job in a thread when its turn arrives.

        Args:
            payer: Charged for the CPU time; None for no charge.

        Raises:
            ChatError: UNAVAILABLE, too many jobs wait.
        """
        return await self.share(who, lambda _: [job()], None, payer)

    async def share(
        self, who: Hashable, work: Work[A, T], argument: A, payer: Hashable = None
    ) -> T:
        """Run `work([argument, ...])` in a thread at the turn of one of its requesters.

        Args:
            payer: Charged for its share of the CPU time; None for no charge.

        Raises:
            ChatError: UNAVAILABLE, too many jobs wait.
        """
        queued = len(self._waiting.get(who, ()))
        if queued >= self._most_each or not self._has_room(queued):
            raise too_many()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(_Job(work, argument, future, payer))
        self._count += 1
        self._start()
        return cast(T, await future)

    def charge(self, payer: Hashable, seconds: float) -> None:
        """Charge a payer for work beyond the time of their jobs in threads."""
        if payer is not None:
            self._paid.spend(payer, seconds)

    def _has_room(self, queued: int) -> bool:
        """Make room, if necessary by dropping a job of the requester with most waiting."""
        if self._count < self._most:
            return True
        longest = max(self._waiting.values(), key=len)
        if len(longest) <= queued + 1:
            return False
        future = longest.pop().future
        self._count -= 1
        if not future.done():
            future.set_exception(too_many())
        return True

    def _start(self) -> None:
        """Give each free thread the job whose turn it is, together with equal jobs next in turn."""
        while self._free and (askers := self._next()):
            jobs = {who: self._take(who) for who in askers}
            self._free -= 1
            self._running.update(askers)
            self._paying.update(job.payer for job in jobs.values())
            for job in jobs.values():
                self.charge(job.payer, DEPOSIT)
            job, *_ = jobs.values()
            arguments = [job.argument for job in jobs.values()]
            took: list[float] = []
            timed = partial(_timed, job.work, arguments, took)
            running = asyncio.get_running_loop().run_in_executor(self._pool, timed)
            running.add_done_callback(partial(self._finish, jobs, took))

    def _next(self) -> list[Hashable]:
        """Return the requester whose turn it is, and those next in turn with the same work.

        Empty if all of them must wait.
        """
        found: list[Hashable] = []
        paying: Counter[Hashable] = Counter()
        looked_at, owing = 0, False
        for who, queue in self._waiting.items():
            payer = queue[0].payer
            if self._running[who] >= self._each_at_once:
                continue
            if not self._affords(payer, paying[payer]):
                owing = True
                continue
            looked_at += 1
            if not found or queue[0].work == self._waiting[found[0]][0].work:
                found.append(who)
                paying[payer] += 1
            if looked_at == TOGETHER:
                break
        if owing and not found and self._again is None:
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(REST_SECONDS, self._start_again)
        return found

    def _affords(self, payer: Hashable, chosen: int) -> bool:
        """Return whether a payer can pay for one more job besides those chosen to start with it."""
        if payer is None:
            return True
        # A payer who has spent half may run one job at a time, as each slows the event loop down.
        left = PAID_BURST / 2 if chosen or self._paying[payer] else 0.0
        return not self._paid.wait(payer, left + chosen * DEPOSIT)

    def _start_again(self) -> None:
        self._again = None
        self._start()

    def _take(self, who: Hashable) -> _Job:
        queue = self._waiting.pop(who)
        job = queue.popleft()
        if queue:
            self._waiting[who] = queue  # behind the other requesters
        self._count -= 1
        return job

    def _finish(
        self,
        jobs: Mapping[Hashable, _Job],
        took: list[float],
        done: asyncio.Future[Sequence[Any]],
    ) -> None:
        for job in jobs.values():
            self._paying[job.payer] -= 1
            if not self._paying[job.payer]:
                del self._paying[job.payer]
            # The shares of a common run are not measured, so they are equal.
            self.charge(job.payer, sum(took) / len(jobs) - DEPOSIT)
        self._free += 1
        self._running.subtract(jobs.keys())
        for who in jobs:
            if not self._running[who]:
                del self._running[who]
        if done.cancelled():
            for job in jobs.values():
                job.future.cancel()
        else:
            error = done.exception()
            results = [error] * len(jobs) if error is not None else done.result()
            for job, result in zip(jobs.values(), results, strict=True):
                _settle(job.future, result)
        self._start()

    def close(self) -> None:
        """Stop the threads; jobs that have not begun are dropped."""
        for queue in self._waiting.values():
            for job in queue:
                job.future.cancel()
        self._waiting.clear()
        if self._again is not None:
            self._again.cancel()
        self._pool.shutdown(cancel_futures=True)


def _timed(work: Work[Any, Any], arguments: Sequence[Any], took: list[float]) -> Sequence[Any]:
    """Run the work, and append the CPU seconds used to `took`."""
    begun = thread_time()
    try:
        return work(arguments)
    finally:
        took.append(thread_time() - begun)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def switch_often() -> None:
    """Shorten the event loop's wait for threads that run Python code."""
    sys.setswitchinterval(SWITCH_SECONDS)


def too_many() -> ChatError:
    """Return the refusal of a job for which the queue has no room."""
    return ChatError(ErrorCode.UNAVAILABLE, "The server is busy; try again soon")


def lower_priority() -> None:
    """Lower this thread's priority below the event loop's.

    Linux gives every thread a nice value of its own (man 2 setpriority); elsewhere nothing changes.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
