"""Local files: read in pieces in a thread, written under a temporary name until complete."""

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

_PIECE_BYTES = 1 << 20
_FORBIDDEN = re.compile(r'[<>:"|?*]')
"""Characters that Windows forbids in names; there `C:x` would even leave the folder."""
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
"""Names of devices on Windows, with any extension."""


def hash_file(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and its sha256."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def read_piece(path: Path, offset: int, size: int) -> bytes:
    """Return `size` bytes of a file, opened anew each time so that no file stays open.

    Raises:
        OSError: the file cannot be read, or has become shorter.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        piece = file.read(size)
    if len(piece) != size:
        raise OSError(f"{path} has become shorter while it was being sent")
    return piece


def local_name(name: str) -> str:
    """Return a safe local name for a file, whatever its sender called it.

    The name is not hidden and configures nothing (`.bashrc`, `.htaccess`), and a program that gets
    all names of the folder cannot take it for an option (`-rf`).
    """
    try:
        clean = _FORBIDDEN.sub("_", clean_file_name(name)).strip(". ")
    except BadValue:
        clean = ""
    if clean.startswith(("-", "~")) or _DEVICE.match(clean):
        clean = f"_{clean}"
    return clean.encode()[:MAX_FILE_NAME].decode(errors="ignore") or "file"


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


class IncomingFile:
    """A file that is being saved: collects pieces, and gives the complete file its name.

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
        """Bytes waiting to be written."""
        self.offset = 0
        """Bytes received without a gap."""

    @property
    def complete(self) -> bool:
        return self._info is not None and self.offset >= self._info.size and not self.buffered

    async def begin(self, info: FileInfo) -> None:
        """Create the temporary file, the first time.

        Raises:
            FileExistsError: the target is a file that exists.
            OSError: the file cannot be created, or the server now announces another content.
        """
        if self._info is None:
            self._info = info
            await self._off_the_loop(self._make)
        elif (info.size, info.sha256) != (self._info.size, self._info.sha256):
            raise OSError("the file changed on the server while it was being saved")

    def resume(self) -> None:
        """Note that pieces have been requested again."""
        self._interrupted = False
        self._news.clear()

    def take(self, offset: int, piece: bytes) -> None:
        """Add the next piece; other pieces belong to an earlier, cancelled save of this file.

        A connection loses no pieces, so these are no reason to request again.
        """
        if self._info is not None and offset + len(piece) > self._info.size:
            self.interrupt()
        elif offset == self.offset:
            self._pieces.append(piece)
            self.buffered += len(piece)
            self.offset += len(piece)
            self._news.set()

    def interrupt(self) -> None:
        """Note that no more pieces will come without a request."""
        self._interrupted = True
        self._news.set()

    async def more(self, limit: float) -> bool:
        """Wait up to `limit` seconds for pieces and write them; False if no more will come."""
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
        """Check the content, give the file its name, and return the path.

        Raises:
            FileExistsError: the target exists by now.
            OSError: the content does not have its sha256.
        """
        return await self._off_the_loop(self._place)

    async def close(self) -> None:
        """Remove the temporary file, if there is one."""
        if self._working is not None and not self._working.done():
            await asyncio.wait([self._working])
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        """Run in a thread; after a cancelled wait, `close` awaits the end."""
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
        """Create an empty file of the final name exclusively, and return its path."""
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
