"""The space available for files: free disk space less a reserve, bounded by the realm's quota."""

from __future__ import annotations

from pathlib import Path

from shared import disk
from shared.protocol.errors import ChatError, ErrorCode

FULL = (
    "The disk of this server is nearly full, so it accepts no files; texts still work. Send the "
    "file again after its operator has freed space"
)
ASK_AGAIN = 60.0
"""Seconds after which the client may send the file again."""


class Room:
    """The space for all files of a realm; its methods may be called from any thread.

    Args:
        folder: The folder of the contents.
        reserve: Bytes of the disk to keep free; None for a share of the disk.
        quota: Bytes that all contents may have together; None for no limit but the disk.
    """

    def __init__(self, folder: Path, reserve: int | None = None, quota: int | None = None) -> None:
        self._folder = folder
        self._given = reserve
        self.quota = quota
        self.refused = 0
        """The number of refused files."""

    @property
    def reserve(self) -> int:
        """Bytes of the disk to keep free, computed anew each time because disks grow."""
        return disk.reserve(self._folder, self._given)

    def left(self, taken: int) -> int:
        """Return the bytes still available for files, which may be negative.

        Args:
            taken: Bytes that all contents have together.

        Raises:
            OSError: the disk failed.
        """
        left = disk.free(self._folder) - self.reserve
        return left if self.quota is None else min(left, self.quota - taken)

    def check(self, size: int, taken: int) -> None:
        """Refuse a file that does not fit, before any of it is received.

        Raises:
            ChatError: UNAVAILABLE, the disk is too full; TOO_LARGE, the quota is used up.
            OSError: the disk failed.
        """
        if size <= self.left(taken):
            return
        self.refused += 1
        if self.quota is not None and taken + size > self.quota:
            raise ChatError(
                ErrorCode.TOO_LARGE,
                f"The limit for all files of this realm is {self.quota:,} bytes; its operator "
                "can raise it",
            )
        raise ChatError(ErrorCode.UNAVAILABLE, FULL, retry_after=ASK_AGAIN)
