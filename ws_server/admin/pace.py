"""Work beside a running server that leaves it the processor and the disk."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ws_server.admin.control import FILE

RESTS = 2.0
"""Seconds of rest for each second of work, so that most of what the server does meets neither."""
LONGEST = 0.05
"""Seconds of one rest at most."""
LOWEST = 19
"""The lowest priority of a process; see nice(1)."""


class Pace:
    """How fast this process works from now on: people who chat go first."""

    def __init__(self, data: Path) -> None:
        """Take the lowest priority.

        Args:
            data: The server's folder; while none runs on it, nothing rests.
        """
        self._server = data / FILE
        # Linux; elsewhere, and where it is forbidden, there are still the rests.
        with suppress(OSError, AttributeError):
            os.nice(LOWEST)
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self._since = time.monotonic()

    def rest(self) -> None:
        """Rest as long as the work since the last rest asks for; blocks."""
        if self._server.exists():
            time.sleep(min(LONGEST, RESTS * (time.monotonic() - self._since)))
        self._since = time.monotonic()
