"""File transfers: sent in several chunks at a time, saved piece by piece; both resume after a
break."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from shared.bounded import BoundedDict
from shared.client.arguments import filled
from shared.client.calls import Calls
from shared.client.errors import NoAnswer, NotSent, OutcomeUnknown
from shared.client.files import IncomingFile, hash_file, read_piece
from shared.client.session import SYNC_RETRY_SECONDS, ClientSession, is_file
from shared.protocol import base64
from shared.protocol.commands.files import (
    Chunk,
    ChunkTaken,
    FileChunk,
    GetFile,
    Upload,
    UploadOpened,
)
from shared.protocol.commands.messages import FileInfo
from shared.protocol.errors import TEMPORARY, ChatError, ErrorCode
from shared.protocol.spec import R, Request
from shared.protocol.values import Address, GroupAddress, fold

MAX_CHUNKS_UNDER_WAY = 8
"""Maximum chunks without an answer, reached while answers are quick."""
QUICK_SECONDS = 1.0
"""Seconds: a faster answer allows one more chunk under way, a slower one takes one away."""
CHUNK_SECONDS = 120.0
"""Seconds for the answer to a chunk: 128 KiB at 2 KiB/s."""
MAX_ATTEMPTS = 5
"""Attempts without progress before a transfer fails."""
STALLED_SECONDS = 30.0
"""Seconds without a piece of a file before it is requested again."""
GO_ON = frozenset((ErrorCode.CONFLICT, ErrorCode.UNKNOWN_FILE))
"""Refusals of a chunk after which `upload` gives the offset to resume at: another session has sent
a part of the file, or all of it, and the first message is then the result again."""
MAX_GIVEN_UP_KEYS = 100
"""Keys kept of files that were not sent completely."""
MAX_FILES_AT_ONCE = 8
"""Files saved at a time; others wait."""
MAX_BUFFERED_BYTES = 4 * 2**20
"""Bytes of pieces waiting to be written, after which the client stops reading."""

Progress = Callable[[int, int], None]
"""Called in the event loop with the bytes done and the total."""


class Caller(Protocol):
    """Calls a command, with seconds to wait."""

    def __call__(self, request: Request[R], seconds: float) -> Awaitable[R]: ...


class Transfers:
    """The file transfers of one client.

    Args:
        on_room: Called when `full` may have become false.
    """

    def __init__(
        self,
        call: Caller,
        session: ClientSession,
        calls: Calls,
        on_room: Callable[[], None],
        timeout: float,
    ) -> None:
        self._call = call
        self._on_room = on_room
        self._session = session
        self._calls = calls
        self._timeout = timeout
        self._incoming: dict[str, IncomingFile] = {}
        self._given_up: BoundedDict[tuple[str, str, int, str], str] = BoundedDict(MAX_GIVEN_UP_KEYS)
        """The keys of files that were not sent to their end, by recipient, name, size and hash."""
        self._turns = asyncio.Semaphore(MAX_FILES_AT_ONCE)
        self._closed = False

    @property
    def full(self) -> bool:
        """Whether too many bytes wait to be written."""
        return any(file.buffered > MAX_BUFFERED_BYTES for file in self._incoming.values())

    def take(self, piece: FileChunk) -> bool:
        """Add a piece; False if this file is not being saved."""
        file = self._incoming.get(piece.file)
        if file is None:
            return False
        file.take(piece.offset, base64.read_strict(piece.data))
        return True

    def broken(self) -> None:
        """Note that the connection broke: no more pieces come without a request."""
        for file in self._incoming.values():
            file.interrupt()

    def close(self) -> None:
        """Close; files being saved raise `NotSent`."""
        self._closed = True
        self.broken()

    async def send(
        self,
        to: Address | GroupAddress | str,
        path: str | os.PathLike[str],
        name: str | None,
        progress: Progress | None,
        idempotency_key: str | None,
    ) -> ChunkTaken:
        """Send a file of any size that the server accepts; return the reply of `sendfile`.

        After a break the transfer resumes at the server's offset. It also resumes when `send` is
        called again with the same file, recipient and key; or without a key, with the same file,
        recipient and name, after a call that failed.

        Args:
            name: The name for the recipient; by default the local one.
            progress: Called with (bytes the server has, all bytes).

        Raises:
            OSError: the file cannot be read, or is empty.
            ChatError: the server refused, for example `too_large`; or the file changed meanwhile.
            NoAnswer: no connection for `timeout` seconds, or no progress; call again to resume.
        """
        file = Path(path)
        size, sha256 = await asyncio.to_thread(hash_file, file)
        if size == 0:
            raise OSError(f"{file} is empty, and empty files cannot be sent")
        what = (fold(str(to)), name or file.name, size, sha256)
        key = idempotency_key or self._given_up.pop(what, "") or secrets.token_hex(16)
        upload = filled(Upload, to=to, name=what[1], size=size, sha256=sha256, idempotency_key=key)
        furthest, idle = -1, 0
        # The message of the last chunk may arrive before the answer.
        number = self._calls.number()
        place = self._session.expect(number, upload.to, is_file(size))
        try:
            while idle < MAX_ATTEMPTS:
                opened = await self._call(upload, self._timeout)
                idle = 0 if opened.offset > furthest else idle + 1
                furthest = max(furthest, opened.offset)
                sending = _ChunkSender(self._call, opened, file, size, progress)
                try:
                    return await sending.run()
                except OutcomeUnknown:
                    pass  # the connection broke; the server knows the offset
                except ChatError as error:
                    if error.code in TEMPORARY:
                        await asyncio.sleep(max(error.retry_after or 0, SYNC_RETRY_SECONDS))
                    elif error.code not in GO_ON:
                        raise
            why = f"sending {file.name} does not get on; call it again with its key"
            raise OutcomeUnknown(why)
        except BaseException:
            if idempotency_key is None:
                self._given_up[what] = key
            raise
        finally:
            self._session.settled(number, place)

    async def save(
        self, file: FileInfo | str, path: str | os.PathLike[str], progress: Progress | None
    ) -> Path:
        """Fetch a file and return its path.

        The file is written under a temporary name, resumes after a break, and gets its final name
        only once the sha256 is right. Existing files are never overwritten.

        Args:
            file: The file of a message, or its id.
            path: A folder, where the file gets its sender's name, cleaned, and a number if the name
            is taken; or the path of a file that does not exist.

        Raises:
            FileExistsError: `path` names a file that exists.
            OSError: the file cannot be written, or its sha256 is wrong.
            ChatError: the server refused, for example `unknown_file`.
            NoAnswer: no connection for `timeout` seconds, or no progress; no file is left behind.
        """
        id = file if isinstance(file, str) else file.id
        async with self._turns:
            if id in self._incoming:
                raise OSError("this file is being saved already")
            incoming = self._incoming[id] = IncomingFile(Path(path))
            try:
                await self._fetch(id, incoming, progress)
                return await incoming.finish()
            finally:
                del self._incoming[id]
                self._on_room()
                await incoming.close()

    async def _fetch(self, id: str, incoming: IncomingFile, progress: Progress | None) -> None:
        """Request a file until all of it has arrived."""
        idle = 0
        while not incoming.complete:
            before = incoming.offset
            incoming.resume()
            offered = await self._call(GetFile(id, incoming.offset), self._timeout)
            await incoming.begin(offered.file)
            coming = True
            while coming:
                coming = await incoming.more(STALLED_SECONDS)
                self._on_room()
                if progress is not None:
                    progress(incoming.offset, offered.file.size)
            if self._closed:
                raise NotSent("the client was closed before the file was complete")
            idle = idle + 1 if incoming.offset == before else 0
            if idle >= MAX_ATTEMPTS:
                raise NoAnswer(f"{offered.file.name} does not come; try it again")


class _ChunkSender:
    """One attempt to send a file's chunks, from the server's offset."""

    def __init__(
        self,
        call: Caller,
        opened: UploadOpened,
        path: Path,
        size: int,
        progress: Progress | None,
    ) -> None:
        self._call = call
        self._opened = opened
        self._path = path
        self._size = size
        self._progress = progress
        self._most = 2
        """Chunks that may be under way: more while answers are quick, so that a text of the same
        client waits behind at most about QUICK_SECONDS of chunks."""

    async def run(self) -> ChunkTaken:
        """Send the chunks; return the reply to the last one."""
        under_way: deque[asyncio.Task[ChunkTaken]] = deque()
        offset = self._opened.offset
        try:
            while True:
                while offset < self._size and len(under_way) < self._most:
                    length = min(self._opened.chunk, self._size - offset)
                    piece = await asyncio.to_thread(read_piece, self._path, offset, length)
                    under_way.append(asyncio.create_task(self._send(offset, piece)))
                    offset += length
                taken = await under_way.popleft()
                if self._progress is not None:
                    self._progress(taken.offset, self._size)
                if not under_way and offset >= self._size:
                    return taken
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _send(self, offset: int, piece: bytes) -> ChunkTaken:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        taken = await self._call(Chunk(self._opened.upload, offset, piece), CHUNK_SECONDS)
        step = 1 if loop.time() - begun < QUICK_SECONDS else -1
        self._most = min(max(self._most + step, 1), MAX_CHUNKS_UNDER_WAY)
        return taken
