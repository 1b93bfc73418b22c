"""What files may still take: of the disk, less a reserve, and of what all of them may have."""

from __future__ import annotations

from pathlib import Path

from shared import disk
from shared.protocol.errors import ChatError, ErrorCode

FULL = (
    "The disk of this server is nearly full, so it takes no files now; texts go on. Send the file "
    "again when its operator has made room"
)
ASK_AGAIN = 60.0
"""Seconds after which a file may be sent again."""


class Room:
    """The bounds on all files of a realm; its methods may be called in any thread.

    Args:
        folder: Where the contents are.
        reserve: Bytes of its disk that they leave free; None takes a part of the disk.
        quota: Bytes that all contents may have together; None leaves it to the disk.
    """

    def __init__(self, folder: Path, reserve: int | None = None, quota: int | None = None) -> None:
        self._folder = folder
        self._given = reserve
        self.quota = quota
        self.refused = 0
        """How often there was none."""

    @property
    def reserve(self) -> int:
        """Bytes of the disk that files leave free; disks grow."""
        return disk.reserve(self._folder, self._given)

    def left(self, taken: int) -> int:
        """Return the bytes that files may still take, which may be negative.

        Args:
            taken: Bytes that all of them have.

        Raises:
            OSError: the disk is gone.
        """
        left = disk.free(self._folder) - self.reserve
        return left if self.quota is None else min(left, self.quota - taken)

    def check(self, size: int, taken: int) -> None:
        """Refuse what there is no room for, before a byte of it is taken.

        Raises:
            ChatError: UNAVAILABLE, the disk is too full; TOO_LARGE, the quota is used up.
            OSError: the disk is gone.
        """
        if size <= self.left(taken):
            return
        self.refused += 1
        if self.quota is not None and taken + size > self.quota:
            raise ChatError(
                ErrorCode.TOO_LARGE,
                f"All files of this realm together may have {self.quota:,} bytes; its operator "
                "can allow more",
            )
        raise ChatError(ErrorCode.UNAVAILABLE, FULL, retry_after=ASK_AGAIN)
