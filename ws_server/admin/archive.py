"""The container of a backup: a tar archive that is written and read in one pass.

It may come from anybody, so the reader takes less than tar has: plain files only, one after the
other, none compressed, and never more of one in memory than its caller allows. Hence a file cannot
unpack to more than it is, and nothing is ever written where an archive says: the caller compares
each name with the one it expects.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
STEP = 1 << 20
"""Bytes read at a time."""


class ArchiveRefused(Exception):
    """The archive is not what it should be; the text says in what."""


class ArchiveWriter:
    """Writes entries; `close` ends the archive, and one without its end is cut off."""

    def __init__(self, file: IO[bytes], time: int) -> None:
        """Write to `file`, dating all entries `time`, in Unix seconds."""
        self._file = file
        self._time = time

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """Write an entry whose pieces have `size` bytes together."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = size, self._time, 0o600
        self._file.write(entry.tobuf(tarfile.GNU_FORMAT))
        for piece in pieces:
            self._file.write(piece)
        self._file.write(bytes(-size % BLOCK))

    def close(self) -> None:
        """End the archive."""
        self._file.write(END)


class ArchiveEntry:
    """One file in the archive; its content is read before the next entry is."""

    def __init__(self, file: IO[bytes], name: str, size: int) -> None:
        self._file = file
        self.name = name
        self.size = size
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of what was read."""
        return self._digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """Yield the content, at most 1 MiB at a time.

        Raises:
            ArchiveRefused: the archive is cut off.
        """
        left = self.size
        while left:
            piece = _exactly(self._file, min(left, STEP))
            self._digest.update(piece)
            left -= len(piece)
            yield piece
        _exactly(self._file, -self.size % BLOCK)

    def content(self, most: int) -> bytes:
        """Return the content of an entry that has at most `most` bytes.

        Raises:
            ArchiveRefused: it has more, or the archive is cut off.
        """
        if self.size > most:
            raise ArchiveRefused(f"{self.name} is too large")
        return b"".join(self.pieces())


def read_entry(file: IO[bytes]) -> ArchiveEntry:
    """Return the next entry.

    Raises:
        ArchiveRefused: there is none, or it is no plain file.
    """
    block = _exactly(file, BLOCK)
    try:
        entry = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise ArchiveRefused("it is damaged, or no backup") from error
    if entry.type != tarfile.REGTYPE or entry.size < 0:
        raise ArchiveRefused("it holds something that is no plain file")
    return ArchiveEntry(file, entry.name, entry.size)


def read_end(file: IO[bytes]) -> None:
    """Check that the archive ends here.

    Raises:
        ArchiveRefused: it is cut off, or goes on.
    """
    if _exactly(file, len(END)) != END or file.read(1):
        raise ArchiveRefused("it goes on after its end")


def _exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise ArchiveRefused("it is cut off, or no backup")
    return content
