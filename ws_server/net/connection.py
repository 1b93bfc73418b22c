"""One WebSocket: frames in without a queue, frames out in one write per pass of the loop.

The library does the handshake, control frames and the closing handshake. Two things are our own,
because they are the hot path: whole messages go straight from the parser to the gate, and what is
written in one pass of the event loop leaves in one `write` (measured in docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from websockets.protocol import State
from websockets.server import ServerProtocol

from ws_server.net.budgets import Budget
from ws_server.net.reading import MAX_WAITING, Reader

if TYPE_CHECKING:
    from ws_server.net.listener import Listener

FLUSH_AT = 1 << 20
"""Bytes to write at once even within one pass of the loop."""
MAX_SMALL = 512
"""Frames that may wait one by one for a slow reader before they are joined."""


def header(size: int) -> bytes:
    """Return the header of an unmasked, unfragmented text frame (RFC 6455, section 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


HEADERS = [header(size) for size in range(1024)]


class Writer:
    """Collects the connections that have something to write in this pass of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """Let a connection write at the end of this pass."""
        if not self._ready:
            self._loop.call_soon(self._flush)
        self._ready.append(connection)

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for connection in ready:
            connection.flush()


class Connection(Reader):
    """A client's WebSocket; it is the `Outlet` of its session."""

    def __init__(
        self, protocol: ServerProtocol, listener: Listener, budget: Budget, **options: Any
    ) -> None:
        super().__init__(protocol, listener, budget, **options)
        self._out: list[bytes] = []
        self._out_size = 0
        self._queued = False
        self._joined = 0
        """How many of `_out` are frames joined already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._backlog.clear()
        self.leave()
        self._listener.connections.discard(self)
        self._drop_out()
        if self.session is not None:
            self._listener.closed[self.ended_by()] += 1
            self._listener.gate.leave(self.session)

    def ended_by(self) -> str:
        """Return the code with which the server closed, or `client`, or `lost` if nobody did.

        The codes that clients choose are many; this counts in few.
        """
        sent = self.protocol.close_sent
        if sent is None:
            return "lost"
        return "client" if self.protocol.close_rcvd_then_sent else str(int(sent.code))

    # To the peer

    def write(self, payload: bytes) -> None:
        size = len(payload)
        self._out.append(HEADERS[size] if size < 1024 else header(size))
        self._out.append(payload)
        self._out_size += size + 4
        if not self._queued:
            self._queued = True
            self._listener.writer.add(self)
        if self._out_size > FLUSH_AT:
            self._flush_now()

    def flush(self) -> None:
        """Write what waits, unless the peer takes nothing more now."""
        self._queued = False
        self._flush_now()

    def _flush_now(self) -> None:
        if self.protocol.state is not State.OPEN:
            self._drop_out()
        elif not self.paused:
            self._write_out()
        elif self._out_size + self.transport.get_write_buffer_size() > MAX_WAITING:
            self._drop_out()
            self.close_with(4000, "too slow; resume and sync")
        elif len(self._out) - self._joined > MAX_SMALL:
            # As objects of their own, small frames take many times their size.
            self._out[self._joined :] = [b"".join(self._out[self._joined :])]
            self._joined += 1

    def _write_out(self) -> None:
        if self._out:
            self.transport.write(b"".join(self._out))
            self._drop_out()

    def _drop_out(self) -> None:
        self._out.clear()
        self._out_size = 0
        self._joined = 0

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flush()
        if self.session is not None and not self.paused:
            self._listener.gate.resume(self.session)

    @property
    def congested(self) -> bool:
        return self.paused

    async def room(self) -> None:
        while self.paused:
            await self.drain()

    def close_with(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a peer that does not answer is cut off."""
        if self.session is not None:
            self._listener.gate.leave(self.session)
        if self.protocol.state is State.OPEN:
            # Replies go before the close frame, and who is not read from cannot answer it.
            self.resume_reading()
            self._write_out()
            self.protocol.send_close(code, reason)
            self.send_data()
            self.cut_off_later()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        # Not the library's, which waits for a reader that may never read.
        self.close_with(code, reason)
        await self.wait_closed()

    def beat(self) -> None:
        """Keep alive: a peer that said nothing since the last ping is gone."""
        if self.protocol.state is not State.OPEN:
            # The closing handshake is over or overdue, but the peer keeps the TCP connection.
            self.transport.abort()
        elif self.heard or self._stopped or self._waiting:
            self.heard = False
            self.protocol.send_ping(b"")
            self.send_data()
        else:
            self.close_with(1011, "no answer to a ping")
