"""Threads for work that may wait: hashing passwords, storing and reading files."""

from __future__ import annotations

import os
import threading
from contextlib import suppress


def lower_priority() -> None:
    """Lower this thread's priority, so that people who chat go first.

    Linux gives every thread a nice value of its own (man 2 setpriority); elsewhere nothing changes.
    """
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
