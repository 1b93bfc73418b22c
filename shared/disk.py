"""How much of a disk files leave free, so that texts, and what keeps them, always have room."""

from __future__ import annotations

import os
from pathlib import Path

LEAST, MOST = 256 << 20, 4 << 30
"""Bounds of the reserve, in bytes."""
SHARE, LARGEST_SHARE = 20, 4
"""It is a twentieth of the disk within them, but never more than a quarter."""


def free(folder: Path) -> int:
    """Return the bytes that this account may still write.

    Raises:
        OSError: the folder is gone, or its disk.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def reserve(folder: Path, given: int | None = None) -> int:
    """Return the bytes of the folder's disk that files leave free.

    Args:
        given: What was set, in bytes, instead of a part of the disk.

    Raises:
        OSError: the folder is gone, or its disk.
    """
    if given is not None:
        return given
    found = os.statvfs(folder)
    whole = found.f_blocks * found.f_frsize
    return min(max(LEAST, min(MOST, whole // SHARE)), whole // LARGEST_SHARE)
