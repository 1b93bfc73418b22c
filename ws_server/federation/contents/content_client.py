"""Downloads of file contents from another realm, in pieces that share the link with messages.

Pending downloads are rows of the table `fetches`; their partial data is in files beside the
uploads, so both survive disconnects and restarts. At most MAX_OPEN contents are open at a time.
Each `want` asks for a file of the least recently served sender; among their files, for the one with
the fewest bytes left. `content_pace` bounds the pieces in flight and delays retries.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field

from sqlalchemy import Connection

from shared.background_tasks import BackgroundTasks
from shared.protocol.errors import ChatError
from ws_server.federation.contents.content_pace import FetchWindow, Rests
from ws_server.federation.frames.link_frames import ContentAnswer, Gone, Later, Overrun, Piece, Want
from ws_server.net.file_lane import PIECE
from ws_server.store.contents import content_fetches
from ws_server.store.contents.blobs import Blobs
from ws_server.store.contents.content_fetches import Fetch
from ws_server.store.database import Database
from ws_server.store.journal import Journal

log = logging.getLogger(__name__)

MAX_OPEN = 32
"""Contents that are open at a time."""
PAUSE = 2.0
"""Seconds before a retry after the store or the disk failed."""
NO_ROOM = 60.0
"""Seconds between two checks for free disk space."""

Report = Callable[[int, str, bool], None]
"""Called with the realm's id, the hash, and True if the content is stored or False if given up."""


@dataclass(slots=True, eq=False)
class FetchedPart:
    """A content that is being downloaded."""

    fetch: Fetch
    written: int
    """Bytes on disk."""
    here: int
    """Bytes on disk or in `waiting`."""
    asked: int
    """Offset of the next piece to request."""
    waiting: list[bytes] = field(default_factory=list)
    """Received pieces that are not on disk yet."""
    dropped: bool = False
    """The download was dropped; later answers for it are ignored."""


@dataclass(frozen=True, slots=True)
class RequestedPiece:
    """A requested piece that has not arrived yet."""

    part: FetchedPart
    offset: int
    since: float


class ContentClient:
    """The downloads from one realm. Call its methods on the event loop only."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        blobs: Blobs,
        tasks: BackgroundTasks,
        realm_id: int,
        report: Report,
    ) -> None:
        self._database = database
        self._journal = journal
        self._blobs = blobs
        self._tasks = tasks
        self._realm_id = realm_id
        self._report = report
        self._send: Callable[[Want], None] | None = None
        self._name = ""
        self._parts: dict[str, FetchedPart] = {}
        self._writing: set[str] = set()
        """Hashes of contents that a thread is writing; no second writer may start."""
        self._ended: set[str] = set()
        """Hashes of contents that were finished or given up while the table was being read."""
        self._rests = Rests(self.wake)
        self._wants: deque[RequestedPiece] = deque()
        self._unwritten = 0
        self._window = FetchWindow()
        self._served: dict[int, int] = {}
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._again = False
        self._waits_for_room = False

    def begin(self, send: Callable[[Want], None], name: str) -> None:
        """Continue over a new link.

        Args:
            name: The peer's local name.
        """
        self._send = send
        self._name = name
        self._window.restart()
        self._rests.clear()
        self.wake()

    def end(self, send: Callable[[Want], None]) -> None:
        """Forget the link of `send`, which has ended; received pieces are still written."""
        if self._send != send:
            return
        self._send = None
        self._wants.clear()
        for part in self._parts.values():
            part.asked = part.here

    def wake(self) -> None:
        """Read pending downloads from the table, soon."""
        self._again = True
        if self._send is not None and not self._reading:
            self._reading = True
            # It goes on for others, too, whoever has woken it.
            self._tasks.start(self._read(), Context())

    def answered(self, answer: ContentAnswer) -> None:
        """Process the answer to the oldest want.

        Raises:
            Overrun: the answer is not for the oldest want.
        """
        if not self._wants or self._wants[0].part.fetch.sha256 != answer.sha256:
            raise Overrun("an answer without a request")
        want = self._wants.popleft()
        part = want.part
        if isinstance(answer, Piece):
            if answer.offset != want.offset:
                raise Overrun("a piece that was not requested")
            self._window.answered(asyncio.get_running_loop().time() - want.since)
            if not part.dropped:
                self._accept(part, answer)
        elif not part.dropped:
            self._drop(part)
            match answer:
                case Later():
                    self._rests.begin(answer.sha256)
                case Gone():
                    attempts = content_fetches.MAX_ATTEMPTS
                    self._tasks.start(self._fail(part.fetch, attempts, "is gone"))
        self._fill()

    def _accept(self, part: FetchedPart, piece: Piece) -> None:
        wanted = min(PIECE, part.fetch.size - part.here)
        is_last = part.here + wanted == part.fetch.size
        if len(piece.data) != wanted or piece.last is not is_last:
            self._drop(part)
            self._tasks.start(self._fail(part.fetch, 1, "has another size"))
            return
        part.waiting.append(piece.data)
        part.here += wanted
        self._unwritten += 1
        if part.fetch.sha256 not in self._writing:
            self._writing.add(part.fetch.sha256)
            self._tasks.start(self._write(part))

    def _drop(self, part: FetchedPart) -> None:
        part.dropped = True
        self._unwritten -= len(part.waiting)
        part.waiting.clear()
        if self._parts.get(part.fetch.sha256) is part:
            del self._parts[part.fetch.sha256]

    # Asking

    async def _read(self) -> None:
        """Open the next downloads."""
        try:
            while self._again and self._send is not None:
                self._again = False
                await self._open()
                self._fill()
        except ChatError as error:
            log.error("pending downloads cannot be read: %s", error.message)
            asyncio.get_running_loop().call_later(PAUSE, self.wake)
        finally:
            self._reading = False

    async def _open(self) -> None:
        self._ended.clear()
        found: list[Fetch] = await self._database.read(
            content_fetches.chosen, self._realm_id, self._rests.resting, MAX_OPEN
        )
        found = await self._fitting(found)
        wanted = {fetch.sha256 for fetch in found}
        for sha256, part in list(self._parts.items()):
            # Downloads with a higher priority displaced this one; its partial file stays.
            if sha256 not in wanted and part.asked == part.written:
                del self._parts[sha256]
        blobs = self._blobs
        for fetch in found:
            if fetch.sha256 not in self._parts.keys() | self._ended | self._writing:
                offset = await blobs.run(blobs.upload_offset, fetch.part, fetch.size)
                self._parts[fetch.sha256] = FetchedPart(fetch, offset, offset, offset)
        senders = {part.fetch.sender_id for part in self._parts.values()}
        self._served = {who: turn for who, turn in self._served.items() if who in senders}

    async def _fitting(self, found: list[Fetch]) -> list[Fetch]:
        """Return the downloads that fit on the disk; the others keep their data and wait."""
        room = await self._blobs.run(self._blobs.room_left)
        here = {sha256: part.written for sha256, part in self._parts.items()}
        fitting = [fetch for fetch in found if fetch.size - here.get(fetch.sha256, 0) <= room]
        if len(fitting) < len(found) and not self._waits_for_room:
            self._waits_for_room = True
            asyncio.get_running_loop().call_later(NO_ROOM, self._look_for_room)
            log.warning(
                "contents from another realm wait for free disk space",
                extra={"realm": self._name, "count": len(found) - len(fitting)},
            )
        return fitting

    def _look_for_room(self) -> None:
        self._waits_for_room = False
        self.wake()

    def _fill(self) -> None:
        """Request pieces until the window is full, no faster than RATE."""
        loop = asyncio.get_running_loop()
        while self._send is not None and self._window.allows(len(self._wants) + self._unwritten):
            part = self._next()
            if part is None:
                return
            now = loop.time()
            if self._window.next_at > now:
                if self._timer is None:
                    self._timer = loop.call_at(self._window.next_at, self._fill_again)
                return
            self._wants.append(RequestedPiece(part, part.asked, now))
            self._send(Want(part.fetch.sha256, part.asked))
            size = min(PIECE, part.fetch.size - part.asked)
            part.asked += size
            self._window.asked(size, now)
            self._turn += 1
            self._served[part.fetch.sender_id] = self._turn

    def _fill_again(self) -> None:
        self._timer = None
        self._fill()

    def _next(self) -> FetchedPart | None:
        """Return the download to request a piece of, as the module describes; None if none."""
        return min(
            (part for part in self._parts.values() if part.asked < part.fetch.size),
            key=lambda p: (self._served.get(p.fetch.sender_id, 0), p.fetch.size - p.asked),
            default=None,
        )

    # Writing

    async def _write(self, part: FetchedPart) -> None:
        """Write received pieces; those that arrive during a write are joined in the next one."""
        blobs, fetch = self._blobs, part.fetch
        try:
            while part.waiting:
                pieces, part.waiting = part.waiting, []
                content = b"".join(pieces)
                try:
                    await blobs.run(blobs.append, fetch.part, part.written, content)
                finally:
                    self._unwritten -= len(pieces)
                part.written += len(content)
                self._fill()
            if part.written == fetch.size and not part.dropped:
                await self._finish(part)
        except ChatError as error:
            log.error("a content from another realm cannot be stored: %s", error.message)
            self._drop(part)
            asyncio.get_running_loop().call_later(error.retry_after or PAUSE, self.wake)
        else:
            # Read the table once half of the downloads have ended, not after each one.
            if len(self._parts) < MAX_OPEN // 2:
                self.wake()
        finally:
            self._writing.discard(fetch.sha256)

    async def _finish(self, part: FetchedPart) -> None:
        blobs, fetch = self._blobs, part.fetch
        if not await blobs.run(blobs.finish, fetch.part, fetch.sha256):
            self._drop(part)
            await self._fail(fetch, 1, "has another hash")
            return

        def note(tx: Connection, now: int) -> None:
            content_fetches.done(tx, fetch.realm_id, fetch.sha256)

        await self._journal.write(note)
        self._drop(part)
        self._ended.add(fetch.sha256)
        self._rests.forget(fetch.sha256)
        self._report(fetch.realm_id, fetch.sha256, True)

    async def _fail(self, fetch: Fetch, attempts: int, why: str) -> None:
        """Count a failed attempt; the content is given up after content_fetches.MAX_ATTEMPTS."""

        def note(tx: Connection, now: int) -> bool:
            return content_fetches.failed(tx, fetch.realm_id, fetch.sha256, attempts)

        try:
            given_up: bool = await self._journal.write(note)
        except ChatError:
            # The attempt is not counted; the download is tried and fails again.
            asyncio.get_running_loop().call_later(PAUSE, self.wake)
            return
        log.warning(
            "a content from another realm %s%s",
            why,
            "; it is given up" if given_up else "",
            extra={"realm": self._name, "sha256": fetch.sha256},
        )
        if given_up:
            self._ended.add(fetch.sha256)
            self._report(fetch.realm_id, fetch.sha256, False)
        self.wake()
