"""Threads in which those who ask take turns, and threads for work that may wait."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar, cast

from shared.protocol.errors import ChatError, ErrorCode

try:
    from uvloop import new_event_loop
except ImportError:  # not made for Windows
    from asyncio import new_event_loop  # type: ignore[assignment]

__all__ = ["Turns", "lower_priority", "new_event_loop", "too_many"]

T = TypeVar("T")
A = TypeVar("A")
Work = Callable[[Sequence[A]], Sequence[T | Exception]]
"""Does what several asked, and returns for each the result, or what is raised to them."""
TOGETHER = 16
"""Jobs done at once, if they are of one work and wait at the same time."""


@dataclass(slots=True)
class _Job:
    """What one asker waits for."""

    work: Work[Any, Any]
    argument: Any
    future: asyncio.Future[Any]


class Turns:
    """A few threads, and a queue for each who asks; the queues are served in turn.

    So whoever asks for much waits for himself, not others for him.
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
        """Start no thread yet.

        Args:
            each_at_once: Jobs of one asker that may run side by side.
            most: Jobs that may wait; then the asker with most of them loses the last.
            most_each: Jobs of one asker that may wait.
        """
        self._pool = ThreadPoolExecutor(threads, name, initializer=initializer)
        self._free = threads
        self._each_at_once = each_at_once
        self._most = most
        self._most_each = most_each
        self._waiting: OrderedDict[Hashable, deque[_Job]] = OrderedDict()
        self._running: Counter[Hashable] = Counter()
        self._count = 0

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._count

    async def run(self, who: Hashable, job: Callable[[], T]) -> T:
        """Run a job in a thread when its turn has come.

        Raises:
            ChatError: UNAVAILABLE, too many wait.
        """
        return await self.share(who, lambda _: [job()], None)

    async def share(self, who: Hashable, work: Work[A, T], argument: A) -> T:
        """Run `work([argument, ...])` in a thread when the turn of one of its askers has come.

        Raises:
            ChatError: UNAVAILABLE, too many wait.
        """
        queued = len(self._waiting.get(who, ()))
        if queued >= self._most_each or not self._has_room(queued):
            raise too_many()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(_Job(work, argument, future))
        self._count += 1
        self._start()
        return cast(T, await future)

    def _has_room(self, queued: int) -> bool:
        """Make room, if need be, at the cost of the asker that has most waiting."""
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
        """Give every free thread the job of the asker whose turn it is, and equal ones with it."""
        while self._free and (askers := self._next()):
            jobs = {who: self._take(who) for who in askers}
            self._free -= 1
            self._running.update(askers)
            job, *_ = jobs.values()
            arguments = [job.argument for job in jobs.values()]
            running = asyncio.get_running_loop().run_in_executor(self._pool, job.work, arguments)
            running.add_done_callback(partial(self._finish, jobs))

    def _next(self) -> list[Hashable]:
        """Return whose turn it is, and those next in turn whose job is of the same work."""
        free = (who for who in self._waiting if self._running[who] < self._each_at_once)
        some = list(islice(free, TOGETHER))
        return [who for who in some if self._waiting[who][0].work == self._waiting[some[0]][0].work]

    def _take(self, who: Hashable) -> _Job:
        queue = self._waiting.pop(who)
        job = queue.popleft()
        if queue:
            self._waiting[who] = queue  # behind the others
        self._count -= 1
        return job

    def _finish(self, jobs: Mapping[Hashable, _Job], done: asyncio.Future[Sequence[Any]]) -> None:
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
        """End the threads; what has not begun is given up."""
        for queue in self._waiting.values():
            for job in queue:
                job.future.cancel()
        self._waiting.clear()
        self._pool.shutdown(cancel_futures=True)


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def too_many() -> ChatError:
    """Return the refusal for a job that cannot wait here."""
    return ChatError(ErrorCode.UNAVAILABLE, "Too many are asking; try again soon")


def lower_priority() -> None:
    """Lower this thread's priority, so that people who chat go first.

    Linux gives every thread a nice value of its own (man 2 setpriority); elsewhere nothing changes.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
