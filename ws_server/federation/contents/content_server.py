"""Uploads of file contents to another realm: one piece for each `want`, paced behind messages.

A realm may fetch only the contents of messages that were sent to it. The answer to any other hash
is `gone`, so knowing a hash neither opens a content nor reveals that it exists.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from shared.bounded import BoundedDict
from shared.protocol import base64
from shared.protocol.errors import ChatError
from shared.protocol.kinds import SEQ, SHA256
from ws_server.federation.links.link_frames import GONE, LATER, PIECE_OF, Overrun
from ws_server.net.file_lane import PIECE
from ws_server.net.session import Outlet
from ws_server.store.contents import content_fetches
from ws_server.store.contents.blobs import Blobs
from ws_server.store.database import Database

log = logging.getLogger(__name__)

RATE = 16 * 2**20
"""Most bytes of contents a second on one link, in each direction."""
MAX_WANTS = 64
"""Pieces that a peer may request at a time; a peer that respects its window requests fewer."""
MAX_KNOWN = 64
"""Contents whose permission is cached during their upload."""


class Giving:
    """The uploads over one link. Call its methods on the event loop only."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        realm_id: int,
        outlet: Outlet,
        say: Callable[..., None],
    ) -> None:
        """Start with no request.

        Args:
            say: Sends a frame, passed as its fields.
        """
        self._database = database
        self._blobs = blobs
        self._realm_id = realm_id
        self._outlet = outlet
        self._say = say
        self._wants: deque[tuple[str, int]] = deque()
        self._sizes: BoundedDict[str, int] = BoundedDict(MAX_KNOWN)
        self._task: asyncio.Task[None] | None = None

    def want(self, body: Mapping[str, Any]) -> None:
        """Queue the request for a piece; requests are answered in their order.

        Raises:
            BadValue: the frame is malformed.
            Overrun: MAX_WANTS requests are waiting.
        """
        if len(self._wants) >= MAX_WANTS:
            raise Overrun("too many pieces are requested at a time")
        self._wants.append(
            (SHA256.from_json(body.get("sha256")), SEQ.from_json(body.get("offset")))
        )
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
                answer = await self._answer(*self._wants[0])
                await self._outlet.room()
                self._wants.popleft()
                self._say(**answer)
                await asyncio.sleep(len(answer.get("data", "")) * 3 / 4 / RATE)
        finally:
            self._task = None

    async def _answer(self, sha256: str, offset: int) -> dict[str, Any]:
        try:
            size = await self._size(sha256)
            if size is None:
                return {"kind": LATER, "sha256": sha256}
            wanted = min(PIECE, size - offset)
            content = b""
            if wanted > 0:
                content = await self._blobs.run(self._blobs.read, sha256, offset, wanted)
        except ChatError as error:
            # A missing file is permanent; any other failure may be temporary.
            vanished = isinstance(error.__cause__, FileNotFoundError)
            log.error("a content cannot be sent: %s", error.message, extra={"sha256": sha256})
            return {"kind": GONE if vanished else LATER, "sha256": sha256}
        if not content or len(content) < wanted:
            return {"kind": GONE, "sha256": sha256}
        return {
            "kind": PIECE_OF,
            "sha256": sha256,
            "offset": offset,
            "data": base64.written(content),
            "last": offset + wanted == size,
        }

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
