"""The contents of files, named by their sha256; equal content is stored once.

A blob is written under a temporary name, synced, renamed into place, and the folder is synced, so
that a name always means the whole content. All functions block; the server calls them in threads.
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
    """A blob is not what its name says; the text names its file."""


def place(data: Path, sha256: str) -> Path:
    """Return where in a data folder the blob of this hash is or would be."""
    return data / "blobs" / sha256[:2] / sha256


def sizes_in(folder: Path) -> dict[str, int]:
    """Return the bytes of each file by its name, without those that vanish meanwhile."""
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
        """What all blobs take, right after each sweep and about right between two."""
        self._coming = 0
        """The same of uploads, and of contents coming from other realms."""
        self.room = Room(self._blobs, reserve, quota)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, upload: str) -> asyncio.Lock:
        """Return the lock that keeps the chunks of one upload apart."""
        return self._locks.setdefault(upload, asyncio.Lock())

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one of the functions below in a thread.

        Raises:
            ChatError: UNAVAILABLE, the disk refused.
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
        """Refuse what there is no room for.

        Raises:
            ChatError: UNAVAILABLE, the disk is too full; TOO_LARGE, the realm's quota is used up.
            OSError: the disk is gone.
        """
        self.room.check(size, self.taken)

    def room_left(self) -> int:
        """Return the bytes that files may still take, which may be negative.

        Raises:
            OSError: the disk is gone.
        """
        return self.room.left(self.taken)

    @property
    def taken(self) -> int:
        """What all contents take, those that are not whole yet included."""
        return self.bytes + self._coming

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def path(self, sha256: str) -> Path:
        """Return where the blob of this hash is or would be."""
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
        """Tell whether a blob is here, and keep it from the next sweep."""
        with self._sweeping:
            try:
                os.utime(self.path(sha256))
            except FileNotFoundError:
                return False
            return True

    def scratch(self) -> IO[bytes]:
        """Return a file without a name, which is gone when it is closed or the process ends."""
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
        """Return a piece of a blob."""
        with open(self.path(sha256), "rb") as file:
            file.seek(offset)
            return file.read(size)

    def pieces(self, sha256: str, size: int) -> Iterator[bytes]:
        """Yield a whole blob, at most 1 MiB at a time.

        Raises:
            Damaged: it is missing, or its size or hash is another, which shows at its end.
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
        """Return where an upload of `size` bytes goes on.

        The chunk with the last byte is what posts the message, so if a crash came between, that
        byte is taken again.
        """
        try:
            here = self._part(upload).stat().st_size
        except FileNotFoundError:
            return 0
        if here >= size:
            os.truncate(self._part(upload), size - 1)
            return size - 1
        return here

    def rename_upload(self, old: str, new: str) -> None:
        """Let what is here of an upload belong to another id from now on."""
        with suppress(FileNotFoundError):
            os.utime(self._part(old))  # or a sweep under way might take it for abandoned
            os.replace(self._part(old), self._part(new))

    def append(self, upload: str, offset: int, content: bytes) -> None:
        """Add a chunk that begins at `offset`, which is where the upload goes on.

        Raises:
            OSError: the disk refused; what was written of the chunk is taken off again.
            ChatError: see `check_room`.
        """
        self.check_room(len(content))
        with open(self._part(upload), "ab", buffering=0) as file:
            try:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                # Not for the upload, which may begin anew after a power cut: much unwritten data
                # would make the journal's own sync wait for all of it.
                os.fdatasync(file.fileno())
            except OSError:
                file.truncate(offset)
                raise
        with self._sweeping:
            self._coming += len(content)

    def finish(self, upload: str, sha256: str) -> bool:
        """Make a complete upload a blob, durably; False (and nothing kept) if its hash differs."""
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
        """Remove what no upload and no file refers to, and return how many there were.

        Args:
            parts: The names of uploads under way, and of contents coming from other realms.
            unreferenced: Returns those of the given hashes that no file has.
            age: Seconds for which nobody may have touched it, as a blob comes before the row that
                names it; 0 when nothing is being stored.
        """

        def discard_old(file: Path) -> bool:
            # Another sweep, or the end of an upload, may have taken it since the folder was read.
            with suppress(FileNotFoundError):
                touched, now = file.stat().st_mtime, time.time()
                if touched > now:
                    os.utime(file)  # the clock was ahead; it counts from now on
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
