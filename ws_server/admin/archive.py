"""The format of a backup: a tar archive that is written and read in one pass.

An archive may be hostile, so the reader accepts a subset of tar: plain files only, in sequence,
uncompressed, and no more of one in memory than its caller allows. A file can therefore not expand
beyond its size. Names in the archive never become paths: the caller compares each name with the one
that it expects.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

from ws_server.admin.interrupts import interrupts

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
STEP = 1 << 20
"""Bytes read at a time."""


class ArchiveRefused(Exception):
    """The archive is invalid; the text names the fault."""


class ArchiveWriter:
    """Writes entries; `close` ends the archive, and one without its end counts as truncated."""

    def __init__(self, file: IO[bytes], time: int) -> None:
        """Write to `file`; the date of all entries is `time`, in Unix seconds."""
        self._file = file
        self._time = time

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """Write an entry; the pieces must have `size` bytes in total."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = size, self._time, 0o600
        self._file.write(entry.tobuf(tarfile.GNU_FORMAT))
        for piece in pieces:
            self._file.write(piece)
        self._file.write(bytes(-size % BLOCK))

    def close(self) -> None:
        """Write the end of the archive."""
        self._file.write(END)


class ArchiveEntry:
    """One file in the archive; its content must be read before the next entry."""

    def __init__(self, file: IO[bytes], name: str, size: int) -> None:
        self._file = file
        self.name = name
        self.size = size
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content read so far."""
        return self._digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most 1 MiB.

        Raises:
            ArchiveRefused: the archive is truncated.
        """
        left = self.size
        while left:
            piece = _exactly(self._file, min(left, STEP))
            self._digest.update(piece)
            left -= len(piece)
            yield piece
        _exactly(self._file, -self.size % BLOCK)

    def content(self, most: int) -> bytes:
        """Return the content of an entry of at most `most` bytes.

        Raises:
            ArchiveRefused: the entry is larger, or the archive is truncated.
        """
        if self.size > most:
            raise ArchiveRefused(f"{self.name} is too large")
        return b"".join(self.pieces())


def read_entry(file: IO[bytes]) -> ArchiveEntry:
    """Return the next entry.

    Raises:
        ArchiveRefused: the archive has no further entry, or the entry is not a plain file.
    """
    block = _exactly(file, BLOCK)
    try:
        entry = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise ArchiveRefused("it is damaged or not a backup") from error
    if entry.type != tarfile.REGTYPE or entry.size < 0:
        raise ArchiveRefused("it contains an entry that is not a plain file")
    return ArchiveEntry(file, entry.name, entry.size)


def read_end(file: IO[bytes]) -> None:
    """Check that the archive ends here.

    Raises:
        ArchiveRefused: the archive is truncated, or continues.
    """
    if _exactly(file, len(END)) != END or file.read(1):
        raise ArchiveRefused("it continues after its end")


def _exactly(file: IO[bytes], size: int) -> bytes:
    interrupts.check()
    content = file.read(size)
    if len(content) < size:
        raise ArchiveRefused("it is truncated or not a backup")
    return content
