"""Threads in which those who ask take turns, and threads for work that may wait."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from shared.protocol.errors import ChatError, ErrorCode

try:
    from uvloop import new_event_loop
except ImportError:  # not made for Windows
    from asyncio import new_event_loop  # type: ignore[assignment]

__all__ = ["Turns", "lower_priority", "new_event_loop", "too_many"]

T = TypeVar("T")
_Job = tuple[Callable[[], object], "asyncio.Future[Any]"]


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
        queued = len(self._waiting.get(who, ()))
        if queued >= self._most_each or not self._has_room(queued):
            raise too_many()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append((job, future))
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
        _, future = longest.pop()
        self._count -= 1
        if not future.done():
            future.set_exception(too_many())
        return True

    def _start(self) -> None:
        """Give every free thread a job of the asker whose turn it is."""
        while self._free:
            free = (who for who in self._waiting if self._running[who] < self._each_at_once)
            if (who := next(free, None)) is None:
                return
            queue = self._waiting.pop(who)
            job, future = queue.popleft()
            if queue:
                self._waiting[who] = queue  # behind the others
            self._count -= 1
            self._free -= 1
            self._running[who] += 1
            running = asyncio.get_running_loop().run_in_executor(self._pool, job)
            running.add_done_callback(partial(self._finish, who, future))

    def _finish(
        self, who: Hashable, waiter: asyncio.Future[Any], done: asyncio.Future[object]
    ) -> None:
        self._free += 1
        self._running[who] -= 1
        if not self._running[who]:
            del self._running[who]
        if done.cancelled():
            waiter.cancel()
        elif (error := done.exception()) is not None:
            if not waiter.done():
                waiter.set_exception(error)
        elif not waiter.done():
            waiter.set_result(done.result())
        self._start()

    def close(self) -> None:
        """End the threads; what has not begun is given up."""
        for queue in self._waiting.values():
            for _, future in queue:
                future.cancel()
        self._waiting.clear()
        self._pool.shutdown(cancel_futures=True)


def too_many() -> ChatError:
    """Return the refusal for a job that cannot wait here."""
    return ChatError(ErrorCode.UNAVAILABLE, "Too many are asking; try again soon")


def lower_priority() -> None:
    """Lower this thread's priority, so that people who chat go first.

    Linux gives every thread a nice value of its own (man 2 setpriority); elsewhere nothing changes.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
