"""uvicorn's HTTP, with an end to its patience: a request's head must come soon and be short."""

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
"""Seconds in which a reader must take something of its answer. Long, as a system with some MiB in
its own buffer (man 7 tcp, tcp_wmem) asks for more only when a third of that is gone."""
OF_ONE = 256
"""Connections of one address, or IPv6 /64, those in their handshakes included."""
OF_ALL = 1_500
"""Connections, or half of the descriptors; of one more, the oldest of the address that has most is
ended."""
MAX_HEAD = 64 << 10
"""Bytes of it."""


class Patient(HttpToolsProtocol):
    """Cuts off whoever connects and says nothing, or never ends to say what he wants."""

    trusted: ClassVar[Sequence[Network]] = ()
    """Proxies, behind which many people share an address."""
    tls: ClassVar[ssl.SSLContext | None] = None
    """With which every connection begins."""
    most: ClassVar[int] = OF_ALL
    _all: ClassVar[dict[Patient, None]] = {}
    """The oldest first; those that became WebSockets are not among them."""
    _of: ClassVar[dict[str, dict[Patient, None]]] = {}
    """The same by network."""
    _network = ""
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _securing: asyncio.Task[None] | None = None
    _early = b""
    _in_head = True
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, before anything is done for it."""
        self._raw = transport
        self._enter(str((transport.get_extra_info("peername") or ("",))[0]))
        if self.tls is None:
            super().connection_made(transport)
            self._expect()
        else:
            self._securing = self.loop.create_task(self._secure(transport, self.tls))

    async def _secure(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """Begin with TLS; asyncio's own servers do so before anybody can count."""
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
            # The new one rather than an old one, which may be fetching something.
            self._raw.abort()
        elif len(self._all) >= self.most:
            most = max(self._of.values(), key=len)
            next(iter(most)).give_up()
        ours[self] = self._all[self] = None

    def give_up(self) -> None:
        """End the connection for the sake of others."""
        self._leave()
        self._raw.abort()

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
        if self._securing is not None:
            # The handshake has ended, and the task that waits for it does not know yet.
            self._early += data
            return
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
        if self._securing is None:
            super().connection_lost(exc)

    def _leave(self) -> None:
        """Count the connection no longer; pages have bounds of their own."""
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
