"""Blobs: the contents of files, named by their sha256; equal content is stored once.

A blob is written under a temporary name, synced, and renamed into place; then the folder is synced.
So a blob's name always means its complete content. All functions block and are called in threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.contents.file_space import Room
from ws_server.threads import lower_priority

P = ParamSpec("P")
T = TypeVar("T")
_STEP = 1 << 20


class Damaged(Exception):
    """A blob does not match its name; the text names its file."""


def place(data: Path, sha256: str) -> Path:
    """Return the path of a hash's blob in a data folder, whether or not it exists."""
    return data / "blobs" / sha256[:2] / sha256


def sizes_in(folder: Path) -> dict[str, int]:
    """Return the size of each file in a folder by name, without those deleted meanwhile."""
    sizes = {}
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            sizes[file.name] = file.stat().st_size
    return sizes


class Blobs:
    """The folders `blobs` and `uploads` in the data folder.

    Args:
        reserve, quota: See `Room`.
    """

    def __init__(self, data: Path, reserve: int | None = 0, quota: int | None = None) -> None:
        self._blobs = data / "blobs"
        self._uploads = data / "uploads"
        for folder in (self._blobs, self._uploads):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._threads = ThreadPoolExecutor(2, "blob", initializer=lower_priority)
        self._sweeping = threading.Lock()
        self.bytes = 0
        """Bytes of all blobs: exact after each sweep, approximate in between."""
        self._coming = 0
        """Bytes of all uploads, and of contents being fetched from other realms."""
        self.room = Room(self._blobs, reserve, quota)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, upload: str) -> asyncio.Lock:
        """Return the lock that serialises the chunks of one upload."""
        return self._locks.setdefault(upload, asyncio.Lock())

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of the functions below in a thread.

        Raises:
            ChatError: UNAVAILABLE, the disk failed.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: work(*args, **kwargs)
            )
        except OSError as error:
            raise ChatError(
                ErrorCode.UNAVAILABLE, "The server cannot store or read files now; try again later"
            ) from error

    def check_room(self, size: int) -> None:
        """Refuse a file that does not fit.

        Raises:
            ChatError: UNAVAILABLE, the disk is too full; TOO_LARGE, the realm's quota is used up.
            OSError: the disk failed.
        """
        self.room.check(size, self.taken)

    def room_left(self) -> int:
        """Return the bytes still available for files, which may be negative.

        Raises:
            OSError: the disk failed.
        """
        return self.room.left(self.taken)

    @property
    def taken(self) -> int:
        """Bytes of all contents, including incomplete ones."""
        return self.bytes + self._coming

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def path(self, sha256: str) -> Path:
        """Return the path of a hash's blob, whether or not it exists."""
        return self._blobs / sha256[:2] / sha256

    def put(self, content: bytes) -> str:
        """Store content durably and return its sha256.

        Raises:
            OSError: nothing was stored.
            ChatError: see `check_room`.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if not self.renew(sha256):
            self.check_room(len(content))
            part = self._uploads / f"{sha256}.{os.urandom(4).hex()}.new"
            try:
                with open(part, "xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                self._place(part, path)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        return sha256

    def renew(self, sha256: str) -> bool:
        """Return whether a blob is stored, and protect it from the next sweep."""
        with self._sweeping:
            try:
                os.utime(self.path(sha256))
            except FileNotFoundError:
                return False
            return True

    def scratch(self) -> IO[bytes]:
        """Return an unnamed temporary file, deleted when it is closed or the process ends."""
        return TemporaryFile(dir=self._uploads)

    def _place(self, part: Path, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        size = part.stat().st_size
        os.replace(part, path)
        with self._sweeping:
            self.bytes += size
        for folder in (path.parent, path.parent.parent):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def read(self, sha256: str, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of a blob from `offset`."""
        with open(self.path(sha256), "rb") as file:
            file.seek(offset)
            return file.read(size)

    def pieces(self, sha256: str, size: int) -> Iterator[bytes]:
        """Yield a whole blob, at most 1 MiB at a time.

        Raises:
            Damaged: the blob is missing or has another size; or, at its end, has another hash.
        """
        path = self.path(sha256)
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    raise Damaged(f"{path} does not have {size:,} bytes")
                while piece := file.read(_STEP):
                    digest.update(piece)
                    yield piece
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror}") from error
        if digest.hexdigest() != sha256:
            raise Damaged(f"{path} is damaged: its content does not have the hash it is named by")

    def upload_offset(self, upload: str, size: int) -> int:
        """Return the offset of an upload's next chunk, 0..`size` - 1.

        The chunk with the last byte posts the message. If a crash came in between, the upload is
        therefore cut by one byte, so that the client sends the last byte again.
        """
        try:
            stored = self._part(upload).stat().st_size
        except FileNotFoundError:
            return 0
        if stored >= size:
            os.truncate(self._part(upload), size - 1)
            return size - 1
        return stored

    def rename_upload(self, old: str, new: str) -> None:
        """Move the partial content of an upload to another id."""
        with suppress(FileNotFoundError):
            os.utime(self._part(old))  # so that a concurrent sweep does not remove it as abandoned
            os.replace(self._part(old), self._part(new))

    def append(self, upload: str, offset: int, content: bytes) -> None:
        """Append a chunk to an upload, at its current end `offset`.

        Raises:
            OSError: the disk failed; the part of the chunk that was written is removed.
            ChatError: see `check_room`.
        """
        self.check_room(len(content))
        with open(self._part(upload), "ab", buffering=0) as file:
            try:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                # Not for the upload's sake, which may restart after a power cut: the journal's own
                # sync would have to wait for all unwritten data.
                os.fdatasync(file.fileno())
            except OSError:
                file.truncate(offset)
                raise
        with self._sweeping:
            self._coming += len(content)

    def finish(self, upload: str, sha256: str) -> bool:
        """Turn a complete upload into a durable blob; if its hash differs, delete it: False."""
        part = self._part(upload)
        digest = hashlib.sha256()
        with open(part, "rb") as file:
            while piece := file.read(_STEP):
                digest.update(piece)
            os.fsync(file.fileno())
        with self._sweeping:
            self._coming -= part.stat().st_size
        if digest.hexdigest() != sha256:
            part.unlink()
            return False
        path = self.path(sha256)
        if self.renew(sha256):
            part.unlink()
        else:
            self._place(part, path)
        return True

    def _part(self, upload: str) -> Path:
        return self._uploads / upload

    def sweep(
        self, parts: set[str], unreferenced: Callable[[list[str]], set[str]], age: float
    ) -> int:
        """Remove unused blobs and partial contents, and return their number.

        Args:
            parts: The file names of pending uploads and fetches.
            unreferenced: Returns those of the given hashes that no file has.
            age: Seconds that an unused file is kept, because a blob is stored before the row that
                names it; 0 if nothing is being stored.
        """

        def discard_old(file: Path) -> bool:
            # A concurrent sweep or the end of an upload may have removed it meanwhile.
            with suppress(FileNotFoundError):
                touched, now = file.stat().st_mtime, time.time()
                if touched > now:
                    os.utime(file)  # the clock was ahead; its age counts from now on
                if age == 0 or touched <= now - age:
                    file.unlink()
                    return True
            return False

        removed = kept = coming = 0
        for name, size in sizes_in(self._uploads).items():
            if name not in parts and discard_old(self._part(name)):
                removed += 1
            else:
                coming += size
        for folder in self._blobs.iterdir():
            sizes = sizes_in(folder)
            for sha256 in unreferenced(list(sizes)):
                with self._sweeping:
                    if discard_old(self.path(sha256)):
                        del sizes[sha256]
                        removed += 1
            kept += sum(sizes.values())
        with self._sweeping:
            self.bytes, self._coming = kept, coming
        return removed
