"""Low-priority work that leaves the processor and the disk to a running server."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ws_server.admin.control import FILE
from ws_server.admin.interrupts import interrupts

RESTS = 2.0
"""Seconds of rest for each second of work, so that most of the server's work is undisturbed."""
LONGEST = 0.05
"""Maximum length of one rest in seconds."""
LOWEST = 19
"""The lowest priority of a process: nice(1)."""


class Pace:
    """Lowers the priority of this process, so that the chat goes first."""

    def __init__(self, data: Path) -> None:
        """Set the lowest priority.

        Args:
            data: The server's folder; while no server runs on it, `rest` returns at once.
        """
        self._server = data / FILE
        # Linux only; elsewhere, or without permission, the rests remain.
        with suppress(OSError, AttributeError):
            os.nice(LOWEST)
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self._since = time.monotonic()

    def rest(self) -> None:
        """Sleep in proportion to the work since the last rest; blocks.

        Raises:
            KeyboardInterrupt: the command was interrupted.
        """
        interrupts.check()
        if self._server.exists():
            time.sleep(min(LONGEST, RESTS * (time.monotonic() - self._since)))
        self._since = time.monotonic()
