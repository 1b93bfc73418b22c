"""Files sent to one connection: paced to its speed, so that they do not delay messages."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from shared.bounded import BoundedDict
from shared.protocol import base64, json_dialect, text_dialect
from shared.protocol.call import Dialect
from shared.protocol.commands.files import FileChunk
from shared.protocol.errors import ChatError
from ws_server.net.session import Lane, Session
from ws_server.store.contents.blobs import Blobs
from ws_server.store.contents.files import StoredFile

log = logging.getLogger(__name__)

MAX_PUSHED = 8 * 2**20
"""Bytes of the largest file whose content is pushed after its message."""
MAX_QUEUED = 100
"""Files that may wait for one connection; clients fetch further ones by getfile."""
PIECE = 48 * 1024
"""Raw bytes in one `file` event: 64 KiB of base64."""
RATE = 24 * 2**20
"""Most bytes a second of files to one connection, so that messages are sent between them."""
MAX_KEPT_PIECES = 64
"""Frames cached for the other recipients of a file: 4 MiB."""


class Pieces:
    """The frames of files, read and serialised once for all recipients."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._kept: BoundedDict[tuple[str, int, Dialect], asyncio.Task[bytes]] = BoundedDict(
            MAX_KEPT_PIECES
        )

    async def frame(self, file: StoredFile, offset: int, dialect: Dialect) -> bytes:
        """Return the frame of the `file` event at an offset, of at most PIECE raw bytes.

        Raises:
            ChatError: UNAVAILABLE, the content cannot be read.
        """
        key = (file.id, offset, dialect)
        if key not in self._kept:
            make = self._make(file, offset, dialect)
            self._kept[key] = asyncio.get_running_loop().create_task(make)
        try:
            return await asyncio.shield(self._kept[key])
        except ChatError:
            self._kept.pop(key, None)
            raise

    async def _make(self, file: StoredFile, offset: int, dialect: Dialect) -> bytes:
        content = await self._blobs.run(self._blobs.read, file.sha256, offset, PIECE)
        data = base64.written(content)
        event = FileChunk(file.id, offset, data, offset + len(content) >= file.size)
        if dialect is Dialect.JSON:
            return json_dialect.format_event(event)
        return text_dialect.format_event(event).encode()


class FileLane:
    """The queue of files for one session, sent one after the other."""

    def __init__(self, session: Session, pieces: Pieces) -> None:
        self._session = session
        self._pieces = pieces
        self._queue: deque[tuple[StoredFile, int]] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, file: StoredFile, offset: int = 0) -> bool:
        """Queue a file to send from an offset; return False if MAX_QUEUED files wait."""
        if len(self._queue) >= MAX_QUEUED:
            return False
        self._queue.append((file, offset))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return True

    def close(self) -> None:
        """Stop sending."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        session = self._session
        try:
            while self._queue:
                file, offset = self._queue.popleft()
                while offset < file.size:
                    frame = await self._pieces.frame(file, offset, session.options.dialect)
                    await session.outlet.room()
                    if session.has_ended or session.account is None:
                        return
                    session.push(frame)
                    offset += PIECE
                    await asyncio.sleep(PIECE / RATE)
        except ChatError as error:
            log.error("a file could not be sent: %s", error.message)
        finally:
            self._queue.clear()
            self._task = None


def lane_of(pieces: Pieces, session: Session) -> Lane:
    """Return a session's file lane, created on first use."""
    answers = session.ensure_partial_answers()
    if answers.lane is None:
        answers.lane = FileLane(session, pieces)
    return answers.lane


def push_content(pieces: Pieces, file: StoredFile, sessions: Iterable[Session]) -> None:
    """Send a stored content to the sessions that accept files, if its size is up to MAX_PUSHED."""
    if file.size <= MAX_PUSHED:
        for session in sessions:
            if session.options.takes_files and not session.has_ended and not session.leaving:
                lane_of(pieces, session).add(file)
