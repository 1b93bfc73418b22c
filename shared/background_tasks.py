"""Tasks that run beside the code that starts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar

R = TypeVar("R")
log = logging.getLogger(__name__)


def log_failure(error: BaseException) -> None:
    """Log why a task ended that should not have."""
    log.error("a background task failed", exc_info=error)


class BackgroundTasks:
    """Tasks that nobody awaits: each is kept until it ends, and its failure is handled once.

    The event loop itself keeps only weak references to tasks.
    """

    def __init__(self, failed: Callable[[BaseException], None] = log_failure) -> None:
        """Make an empty one.

        Args:
            failed: Called with the exception of a task that ended by one.
        """
        self._failed = failed
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        return iter(self._tasks)

    def start(
        self, work: Coroutine[Any, Any, R], context: Context | None = None
    ) -> asyncio.Task[R]:
        """Run something until it ends by itself or is cancelled.

        Args:
            context: The context in which it runs; by default a copy of the present one.
        """
        return self.keep(asyncio.get_running_loop().create_task(work, context=context))

    def keep(self, task: asyncio.Task[R]) -> asyncio.Task[R]:
        """Keep a task that was started elsewhere."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel all; they end later."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
