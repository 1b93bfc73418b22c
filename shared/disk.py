"""The reserve that files leave free on a disk, so that messages and the database always have
room."""

from __future__ import annotations

import os
from pathlib import Path

MIN_RESERVE_BYTES, MAX_RESERVE_BYTES = 256 << 20, 4 << 30
"""Bounds of the reserve, in bytes."""
SHARE, LARGEST_SHARE = 20, 4
"""The reserve is a twentieth of the disk within these bounds, but at most a quarter."""


def free(folder: Path) -> int:
    """Return the free bytes of a folder's disk that this account may write.

    Raises:
        OSError: the folder is gone, or its disk.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def reserve(folder: Path, given: int | None = None) -> int:
    """Return the reserve of a folder's disk, in bytes.

    Args:
        given: A configured reserve in bytes, in place of a part of the disk.

    Raises:
        OSError: the folder is gone, or its disk.
    """
    if given is not None:
        return given
    found = os.statvfs(folder)
    whole = found.f_blocks * found.f_frsize
    return min(
        max(MIN_RESERVE_BYTES, min(MAX_RESERVE_BYTES, whole // SHARE)), whole // LARGEST_SHARE
    )
