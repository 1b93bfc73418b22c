"""uvicorn's HTTP with timeouts: the head of a request must arrive soon and be short."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.addresses import network
from shared.settings import Network, is_trusted

HEAD_LIMIT = 10.0
"""Seconds for TLS, and then for the head of a request, from the connection or its first byte."""
STALL_LIMIT = 120.0
"""Seconds within which a client must read some of its answer. Long, because a system with some MiB
in its socket buffer (man 7 tcp, tcp_wmem) accepts more only after a third has left."""
OF_ONE = 256
"""Connections of one address or IPv6 /64, including those in their handshake."""
OF_ALL = 1_500
"""Connections in all, or half of the file descriptors if fewer. Beyond that, the oldest connection
of the address with the most is closed."""
MAX_HEAD = 64 << 10
"""Bytes of it."""


class TimeoutProtocol(HttpToolsProtocol):
    """Disconnects clients that send nothing, or never complete the head of a request."""

    trusted: ClassVar[Sequence[Network]] = ()
    """Proxies; many people share the address of one."""
    tls: ClassVar[ssl.SSLContext | None] = None
    """With which every connection begins."""
    most: ClassVar[int] = OF_ALL
    _all: ClassVar[dict[TimeoutProtocol, None]] = {}
    """All HTTP connections, the oldest first; those that became WebSockets are not included."""
    _of: ClassVar[dict[str, dict[TimeoutProtocol, None]]] = {}
    """The same by network."""
    _network = ""
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _securing: asyncio.Task[None] | None = None
    _early = b""
    _in_head = True
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection before any work is done for it."""
        self._raw = transport
        self._enter(str((transport.get_extra_info("peername") or ("",))[0]))
        if self.tls is None:
            super().connection_made(transport)
            self._expect()
        else:
            self._securing = self.loop.create_task(self._secure(transport, self.tls))

    async def _secure(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """Start TLS here: asyncio's servers would start it before the connection is counted."""
        try:
            secured = await self.loop.start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=HEAD_LIMIT
            )
        except (OSError, TimeoutError):
            self._leave()
            return
        if secured is None or secured.is_closing():
            self._leave()
            return
        self._raw = secured
        super().connection_made(secured)
        self._securing = None
        self._expect()
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def _enter(self, peer: str) -> None:
        if not peer or is_trusted(peer, self.trusted):
            return
        self._network = network(peer)
        ours = self._of.setdefault(self._network, {})
        if len(ours) >= OF_ONE:
            # Refuse the new connection: an old one may be downloading.
            self._raw.abort()
        elif len(self._all) >= self.most:
            most = max(self._of.values(), key=len)
            next(iter(most)).give_up()
        ours[self] = self._all[self] = None

    def give_up(self) -> None:
        """Close the connection to make room for others."""
        self._leave()
        self._raw.abort()

    def pause_writing(self) -> None:
        """The client does not read; it is disconnected if that lasts."""
        super().pause_writing()
        if self._stalled is None:
            self._watch()

    def _watch(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(STALL_LIMIT, self._look, waiting)

    def _look(self, before: int) -> None:
        """Disconnect a client that has read nothing since; large answers may take long."""
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
        if self._securing is not None:
            # The handshake has ended; the task that waits for it has not run yet.
            self._early += data
            return
        if self.cycle is None or self.cycle.response_complete:
            # This is the start of a head, or the rest of a refused body.
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
        if self._securing is None:
            super().connection_lost(exc)

    def _leave(self) -> None:
        """Stop counting the connection: pages have their own bounds."""
        ours = self._of.get(self._network)
        if ours is not None and self in ours:
            del ours[self], self._all[self]
            if not ours:
                del self._of[self._network]

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
