"""Files on this disk: read in pieces off the event loop, written aside until they are whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from shared.protocol.commands.messages import FileInfo
from shared.protocol.file_names import clean_file_name
from shared.protocol.values import MAX_FILE_NAME, BadValue

T = TypeVar("T")

_STEP = 1 << 20
_FORBIDDEN = re.compile(r'[<>:"|?*]')
"""What Windows forbids in names; `C:x` would even leave the folder there."""


def hash_file(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and its sha256."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(_STEP):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def read_piece(path: Path, offset: int, size: int) -> bytes:
    """Return `size` bytes of a file; it is opened each time, so that none stays open.

    Raises:
        OSError: it cannot be read, or has become shorter.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        piece = file.read(size)
    if len(piece) != size:
        raise OSError(f"{path} has become shorter while it was being sent")
    return piece


def local_name(name: str) -> str:
    """Return the name a file gets on this disk, whatever its sender called it."""
    try:
        clean = _FORBIDDEN.sub("_", clean_file_name(name)).rstrip(". ")
    except BadValue:
        clean = ""
    return clean or "file"


def numbered(name: str, number: int) -> str:
    """Return `name`, or `name (2).txt` and so on, of at most MAX_FILE_NAME bytes."""
    if number == 1:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 16:
        stem, dot, ending = name, "", ""
    tail = f" ({number}){dot}{ending}"
    room = MAX_FILE_NAME - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail


class Incoming:
    """A file that is being saved: pieces in, and at the end a whole file of its own name.

    Args:
        target: A folder, or the path of a file that does not exist.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._info: FileInfo | None = None
        self._temporary: Path | None = None
        self._pieces: list[bytes] = []
        self._digest = hashlib.sha256()
        self._news = asyncio.Event()
        self._interrupted = False
        self._working: asyncio.Future[Any] | None = None
        self.buffered = 0
        """Bytes that wait to be written."""
        self.offset = 0
        """Bytes that have come, without a gap."""

    @property
    def complete(self) -> bool:
        return self._info is not None and self.offset >= self._info.size and not self.buffered

    async def begin(self, info: FileInfo) -> None:
        """Make the temporary file, the first time.

        Raises:
            FileExistsError: the target is a file that exists.
            OSError: it cannot be made, or the server now speaks of another content.
        """
        if self._info is None:
            self._info = info
            await self._off_the_loop(self._make)
        elif (info.size, info.sha256) != (self._info.size, self._info.sha256):
            raise OSError("the file changed on the server while it was being saved")

    def resume(self) -> None:
        """Pieces are asked for again."""
        self._interrupted = False
        self._news.clear()

    def take(self, offset: int, piece: bytes) -> None:
        """Take a piece that follows; others still come for somebody who gave up this file before.

        A connection loses none, and to ask again at each of those would be to ask in vain.
        """
        if self._info is not None and offset + len(piece) > self._info.size:
            self.interrupt()
        elif offset == self.offset:
            self._pieces.append(piece)
            self.buffered += len(piece)
            self.offset += len(piece)
            self._news.set()

    def interrupt(self) -> None:
        """No more pieces will come by themselves."""
        self._interrupted = True
        self._news.set()

    async def more(self, limit: float) -> bool:
        """Wait for pieces, up to `limit` seconds, and write them; False if no more will come."""
        try:
            async with asyncio.timeout(limit):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        pieces, self._pieces = self._pieces, []
        if pieces:
            await self._off_the_loop(lambda: self._write(pieces))
            self.buffered -= sum(map(len, pieces))
        return not self.complete and not self._interrupted

    async def finish(self) -> Path:
        """Check the content, give it its name, and return that.

        Raises:
            FileExistsError: the target has come to exist.
            OSError: the content does not have its sha256.
        """
        return await self._off_the_loop(self._place)

    async def close(self) -> None:
        """Remove the temporary file, if there still is one."""
        if self._working is not None and not self._working.done():
            await asyncio.wait([self._working])
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        """Work in a thread; a cancelled wait leaves it to `close` to await the end."""
        working = asyncio.ensure_future(asyncio.to_thread(work))
        self._working = working
        return await asyncio.shield(working)

    def _make(self) -> None:
        folder = self._target if self._target.is_dir() else self._target.parent
        if folder is not self._target and self._target.exists():
            raise FileExistsError(f"{self._target} exists")
        temporary = folder / f".{secrets.token_hex(8)}.part"
        with open(temporary, "xb"):
            self._temporary = temporary

    def _write(self, pieces: list[bytes]) -> None:
        assert self._temporary is not None
        with open(self._temporary, "ab") as file:
            for piece in pieces:
                file.write(piece)
                self._digest.update(piece)

    def _place(self) -> Path:
        assert self._info is not None and self._temporary is not None
        if self._digest.hexdigest() != self._info.sha256:
            raise OSError(f"{self._info.name} came damaged: its sha256 is another one")
        path = self._reserve(self._info)
        os.replace(self._temporary, path)
        return path

    def _reserve(self, info: FileInfo) -> Path:
        """Make an empty file of the final name, which cannot exist then, and return its path."""
        if not self._target.is_dir():
            open(self._target, "xb").close()
            return self._target
        name, number = local_name(info.name), 1
        while True:
            path = self._target / numbered(name, number)
            try:
                open(path, "xb").close()
                return path
            except FileExistsError:
                number += 1
