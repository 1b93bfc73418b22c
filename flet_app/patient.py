"""uvicorn's HTTP, with an end to its patience: a request's head must come soon and be short."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.settings import Network, is_trusted

HEAD_LIMIT = 10.0
"""Seconds in which the head of a request must come, from the connection or from its first byte."""
STALL_LIMIT = 120.0
"""Seconds in which a reader must take something of its answer. Long, as a system with some MiB in
its own buffer (man 7 tcp, tcp_wmem) asks for more only when a third of that is gone."""
OF_ONE = 256
"""Connections of one address."""
MAX_HEAD = 64 << 10
"""Bytes of it."""


class Patient(HttpToolsProtocol):
    """Cuts off whoever connects and says nothing, or never ends to say what he wants."""

    trusted: ClassVar[Sequence[Network]] = ()
    """Proxies, behind which many people share an address."""
    _connections: ClassVar[Counter[str]] = Counter()
    _peer = ""
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _in_head = True
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._connections[self._peer] += 1
        if self._connections[self._peer] > OF_ONE and not is_trusted(self._peer, self.trusted):
            transport.abort()
        self._expect()

    def pause_writing(self) -> None:
        """The reader takes nothing; it is cut off if that lasts."""
        super().pause_writing()
        if self._stalled is None:
            self._watch()

    def _watch(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(STALL_LIMIT, self._look, waiting)

    def _look(self, before: int) -> None:
        """Cut off who has taken nothing since; a large answer may take long to go out."""
        if self.transport.get_write_buffer_size() < before:
            self._watch()
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._flows()

    def _flows(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            # A head begins, or what is left of a body that was refused.
            self._expect()
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._flows()
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        """Count the connection no longer; pages have bounds of their own."""
        if self._peer:
            self._connections[self._peer] -= 1
            if not self._connections[self._peer]:
                del self._connections[self._peer]
            self._peer = ""

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_LIMIT, self.transport.abort)

    def _forget(self) -> None:
        self._head = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_websocket_upgrade(self) -> None:
        self._forget()
        self._flows()
        self._leave()
        super().handle_websocket_upgrade()
