"""Uploads of file contents to another realm: one piece for each `want`, paced behind messages.

A realm may fetch only the contents of messages that were sent to it. The answer to any other hash
is `gone`, so knowing a hash neither opens a content nor reveals that it exists.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from shared.bounded import BoundedDict
from shared.protocol.errors import ChatError
from ws_server.federation.frames.link_frames import (
    MAX_WANTS,
    ContentAnswer,
    Gone,
    Later,
    Overrun,
    Piece,
    Want,
)
from ws_server.net.file_lane import PIECE
from ws_server.net.session import Outlet
from ws_server.store.contents import content_fetches
from ws_server.store.contents.blobs import Blobs
from ws_server.store.database import Database

log = logging.getLogger(__name__)

RATE = 16 * 2**20
"""Most bytes of contents a second on one link, in each direction."""
MAX_KNOWN = 64
"""Contents whose permission is cached during their upload."""


class ContentServer:
    """Serves contents over one link. Call its methods on the event loop only."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        realm_id: int,
        outlet: Outlet,
        send: Callable[[ContentAnswer], None],
    ) -> None:
        """Start with no request."""
        self._database = database
        self._blobs = blobs
        self._realm_id = realm_id
        self._outlet = outlet
        self._send = send
        self._wants: deque[Want] = deque()
        self._sizes: BoundedDict[str, int] = BoundedDict(MAX_KNOWN)
        self._task: asyncio.Task[None] | None = None

    def want(self, want: Want) -> None:
        """Queue the request for a piece; requests are answered in their order.

        Raises:
            Overrun: MAX_WANTS requests are waiting.
        """
        if len(self._wants) >= MAX_WANTS:
            raise Overrun("too many pieces are requested at a time")
        self._wants.append(want)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        """Stop sending pieces."""
        self._wants.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._wants:
                answer = await self._answer(self._wants[0])
                await self._outlet.room()
                self._wants.popleft()
                self._send(answer)
                size = len(answer.data) if isinstance(answer, Piece) else 0
                await asyncio.sleep(size / RATE)
        finally:
            self._task = None

    async def _answer(self, want: Want) -> ContentAnswer:
        sha256, offset = want.sha256, want.offset
        try:
            size = await self._size(sha256)
            if size is None:
                return Later(sha256)
            wanted = min(PIECE, size - offset)
            content = b""
            if wanted > 0:
                content = await self._blobs.run(self._blobs.read, sha256, offset, wanted)
        except ChatError as error:
            # A missing file is permanent; any other failure may be temporary.
            vanished = isinstance(error.__cause__, FileNotFoundError)
            log.error("a content cannot be sent: %s", error.message, extra={"sha256": sha256})
            return Gone(sha256) if vanished else Later(sha256)
        if not content or len(content) < wanted:
            return Gone(sha256)
        return Piece(sha256, offset, content, offset + wanted == size)

    async def _size(self, sha256: str) -> int | None:
        """Return a content's size; 0 if it is not for this realm, None if it is not here yet."""
        size = self._sizes.get(sha256)
        if size is not None:
            return size
        found = await self._database.read(content_fetches.offered, self._realm_id, sha256)
        if found is None:
            return 0
        if not found.here:
            return None
        self._sizes[sha256] = found.size
        return found.size
