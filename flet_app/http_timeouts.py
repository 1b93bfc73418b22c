"""uvicorn's HTTP with timeouts: the head of a request must arrive soon and be short."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.addresses import network
from shared.settings import Network, is_trusted

HEAD_SECONDS = 10.0
"""Seconds for TLS, and then for the head of a request, from the connection or its first byte."""
STALL_SECONDS = 120.0
"""Seconds within which a client must read some of its answer. Long, because a system with some MiB
in its socket buffer (man 7 tcp, tcp_wmem) accepts more only after a third has left."""
MAX_CONNECTIONS_PER_ADDRESS = 256
"""Connections of one address or IPv6 /64, including those in their handshake."""
MAX_CONNECTIONS = 1_500
"""Connections in all, or half of the file descriptors if fewer. Beyond that, the oldest connection
of the address with the most is closed."""
MAX_HEAD_BYTES = 64 << 10
"""Bytes of it."""


class HttpConnections:
    """All HTTP connections of one server; those that became WebSockets are not included."""

    def __init__(
        self,
        trusted: Sequence[Network] = (),
        tls: ssl.SSLContext | None = None,
        most: int = MAX_CONNECTIONS,
    ) -> None:
        """Begin with none.

        Args:
            trusted: Proxies, which are not counted; many people share the address of one.
            tls: With which every connection begins.
            most: How many there may be.
        """
        self.tls = tls
        self._trusted = trusted
        self._most = most
        self._all: dict[TimeoutProtocol, None] = {}
        """The oldest first."""
        self._of: dict[str, dict[TimeoutProtocol, None]] = {}
        """The same by network."""

    def protocol(self, **options: Any) -> TimeoutProtocol:
        """Return the protocol of a new connection, as uvicorn asks for one."""
        return TimeoutProtocol(self, **options)

    def enter(self, connection: TimeoutProtocol, peer: str) -> None:
        """Count a connection; one may have to end for it, or it ends itself."""
        if not peer or is_trusted(peer, self._trusted):
            return
        connection.network = network(peer)
        ours = self._of.setdefault(connection.network, {})
        if len(ours) >= MAX_CONNECTIONS_PER_ADDRESS:
            # Refuse the new connection: an old one may be downloading.
            connection.abort()
        elif len(self._all) >= self._most:
            most = max(self._of.values(), key=len)
            next(iter(most)).give_up()
        ours[connection] = self._all[connection] = None

    def leave(self, connection: TimeoutProtocol) -> None:
        """Stop counting a connection: pages have their own bounds."""
        ours = self._of.get(connection.network)
        if ours is not None and connection in ours:
            del ours[connection], self._all[connection]
            if not ours:
                del self._of[connection.network]


class TimeoutProtocol(HttpToolsProtocol):
    """Disconnects clients that send nothing, or never complete the head of a request."""

    network = ""
    """Under which it is counted."""
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _securing: asyncio.Task[None] | None = None
    _early = b""
    _in_head = True
    _head = 0

    def __init__(self, connections: HttpConnections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection before any work is done for it."""
        self._raw = transport
        self._connections.enter(self, str((transport.get_extra_info("peername") or ("",))[0]))
        tls = self._connections.tls
        if tls is None:
            super().connection_made(transport)
            self._expect()
        else:
            self._securing = self.loop.create_task(self._secure(transport, tls))

    async def _secure(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """Start TLS here: asyncio's servers would start it before the connection is counted."""
        try:
            secured = await self.loop.start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=HEAD_SECONDS
            )
        except (OSError, TimeoutError):
            self._connections.leave(self)
            return
        if secured is None or secured.is_closing():
            self._connections.leave(self)
            return
        self._raw = secured
        super().connection_made(secured)
        self._securing = None
        self._expect()
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def abort(self) -> None:
        """Close the connection at once."""
        self._raw.abort()

    def give_up(self) -> None:
        """Close the connection to make room for others."""
        self._connections.leave(self)
        self.abort()

    def pause_writing(self) -> None:
        """The client does not read; it is disconnected if that lasts."""
        super().pause_writing()
        if self._stalled is None:
            self._watch()

    def _watch(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(STALL_SECONDS, self._look, waiting)

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
        if self._in_head and self._head > MAX_HEAD_BYTES:
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
        self._connections.leave(self)
        if self._securing is None:
            super().connection_lost(exc)

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget(self) -> None:
        self._head = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_websocket_upgrade(self) -> None:
        self._forget()
        self._flows()
        self._connections.leave(self)
        super().handle_websocket_upgrade()
