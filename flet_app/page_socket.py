"""The WebSocket of a page at the level of bytes: bounds on memory and on useless frames.

uvicorn accepts everything. Here a stranger may hold at most one small frame, all browsers of one
address share a budget for unfinished frames, and clients that send useless frames are disconnected.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from flet_app.frame_filter import MAX_FILE_FRAME_BYTES, MAX_STRANGER_FRAME_BYTES

STEP_BYTES = 16 << 10
"""Bytes processed before the bounds are checked."""
MAX_NOISE_FRAMES, NOISE_SECONDS = 500, 10.0
"""Pings, pongs and small fragments of one connection, and the seconds for them."""
SMALL_FRAGMENT_BYTES = 256
"""Bytes below which a fragment counts as small; browsers send larger fragments."""
MAX_HELD_BYTES, MAX_HELD_BYTES_OF_ALL = 16 << 20, 128 << 20
"""Bytes of unfinished frames of one address and of all, beyond a stranger's allowance."""
EXTENSION = "chat.socket"
"""Key of the connection in the ASGI scope."""


class PageSocket(WebSocketsSansIOProtocol):
    """One connection, starting with the request for a WebSocket."""

    _held_by: ClassVar[Counter[str]] = Counter()
    network = ""
    """The visitor whose frames these are; set once the request is read."""
    _held = 0
    _noise = 0
    _since = -math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.conn.max_message_size = MAX_STRANGER_FRAME_BYTES

    def admit(self, known: bool) -> None:
        """Allow large frames if somebody is signed in, else refuse them."""
        self.conn.max_message_size = MAX_FILE_FRAME_BYTES if known else MAX_STRANGER_FRAME_BYTES

    def handle_connect(self, event: object) -> None:
        super().handle_connect(event)  # type: ignore[arg-type]
        if hasattr(self, "scope"):
            extensions: Any = self.scope["extensions"]
            extensions[EXTENSION] = self

    def data_received(self, data: bytes) -> None:
        try:
            for at in range(0, len(data), STEP_BYTES):
                super().data_received(data[at : at + STEP_BYTES])
                if self.transport.is_closing() or not self._may_hold():
                    break
        except (AssertionError, UnicodeError):
            # A malformed request for a WebSocket; uvicorn would report an error of its own.
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hold(0)
        super().connection_lost(exc)

    def handle_cont(self, event: Any) -> None:
        if len(event.data) < SMALL_FRAGMENT_BYTES:
            self._count()
        super().handle_cont(event)

    def handle_ping(self) -> None:
        self._count()
        super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        self._count()
        super().handle_pong(event)

    def _count(self) -> None:
        """Count frames that are allowed but carry nothing."""
        now = self.loop.time()
        if now - self._since > NOISE_SECONDS:
            self._since, self._noise = now, 0
        self._noise += 1
        if self._noise > MAX_NOISE_FRAMES:
            self.transport.abort()

    def _may_hold(self) -> bool:
        """Count the bytes of unfinished frames; disconnect if they exceed the bound."""
        here = len(self.conn.reader.buffer) + (self.conn.current_size or 0)
        if here <= MAX_STRANGER_FRAME_BYTES and not self._held:
            return True
        self._hold(max(0, here - MAX_STRANGER_FRAME_BYTES))
        mine, all_of_it = self._held_by[self.network], self._held_by.total()
        if self._held and (mine > MAX_HELD_BYTES or all_of_it > MAX_HELD_BYTES_OF_ALL):
            self.transport.abort()
            return False
        return True

    def _hold(self, size: int) -> None:
        self._held_by[self.network] += size - self._held
        self._held = size
        if not self._held_by[self.network]:
            del self._held_by[self.network]
