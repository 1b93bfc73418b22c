"""Being asked to stop: at once, but never between starting something and knowing of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Makes the first SIGINT or SIGTERM a KeyboardInterrupt, and ignores those of the impatient.

    Blocking the signals would not hold them back: the event loop has threads that take them.
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
        """Let it wait until the block is done."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waits:
            self._waits = False
            raise KeyboardInterrupt


STOP = Stop()
