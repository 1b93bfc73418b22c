"""Stopping at a signal: at once, except between the start of a child and its registration."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Turns the first SIGINT or SIGTERM into a KeyboardInterrupt, and ignores repeated ones.

    Blocking the signals would not defer them: the event loop's threads receive them.
    """

    def __init__(self) -> None:
        self._asked = False
        self._held = False
        self._waits = False

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        if self._asked:
            return
        self._asked = True
        if not self._held:
            raise KeyboardInterrupt
        self._waits = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defer a signal until the block ends."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waits:
            self._waits = False
            raise KeyboardInterrupt


STOP = Stop()
