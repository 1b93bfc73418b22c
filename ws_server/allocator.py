"""The C library's allocator, tuned for a server (glibc's mallopt(3))."""

from __future__ import annotations

import ctypes
import sys

KEPT_BYTES = 16 * 2**20
"""Freed bytes at the end of the heap above which they go back to the system."""
OWN_MAPPING = 2 * 2**20
"""Bytes from which a block gets a mapping of its own: more than a frame has."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Keep a little freed memory in the process; does nothing without glibc.

    By default the heap shrinks whenever 128 KiB at its end are free, so each batch of messages
    returned its memory and then faulted it in again: up to 1.6 page faults a message, a seventh of
    its processor time.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, OWN_MAPPING)
