"""One WebSocket: frames in without a queue, frames out in one write per pass of the loop.

The library does the handshake, control frames and the closing handshake. Two things are our own,
because they are the hot path: whole messages go straight from the parser to the gate, and what is
written in one pass of the event loop leaves in one `write` (measured in docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from websockets.protocol import State
from websockets.server import ServerProtocol

from ws_server.net.budgets import STRANGER_FRAME, Budget
from ws_server.net.port import Port
from ws_server.net.reader import MAX_UNSENT_BYTES, Reader
from ws_server.net.writer import HEADERS, header

FLUSH_AT = 1 << 20
"""Bytes to write at once even within one pass of the loop."""
MAX_SMALL = 512
"""Frames that may wait one by one for a slow reader before they are joined."""
MAX_RESCUED = 256 * 1024
"""Bytes taken from the kernel of a peer that is gone; as many as one read brings."""


class Connection(Reader):
    """A client's WebSocket; it is the `Outlet` of its session."""

    def __init__(
        self,
        protocol: ServerProtocol,
        port: Port,
        budget: Budget,
        connections: set[Connection],
        **options: Any,
    ) -> None:
        """Begin unread and uncounted.

        Args:
            connections: All of the port, of which it is one until it ends.
        """
        super().__init__(protocol, port, budget, **options)
        self._connections = connections
        self._out: list[bytes] = []
        self._out_size = 0
        self._queued = False
        self._joined = 0
        """How many of `_out` are frames joined already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)
        if not self.take_over():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost, self._why_lost = True, exc
        self.leave()
        self._drop_out()
        if self.session is None or self._finished:
            self._go()
        else:
            self._rescue()
            self.hear_no_more()
            # What waited until the peer would read waits no longer.
            self._port.gate.resume(self.session)

    def _rescue(self) -> None:
        """Take what is still in the kernel: after a write that failed, asyncio reads no more."""
        if self.transport.get_extra_info("sslcontext") is not None:
            return
        most = STRANGER_FRAME if self.careful else MAX_RESCUED
        with suppress(OSError), self.transport.get_extra_info("socket").dup() as socket:
            socket.setblocking(False)
            while len(self._backlog) < most and (data := socket.recv(most)):
                self._backlog += data

    def finish(self) -> None:
        if self._finished:
            return
        answering = self._answering
        self._finished = True
        if self._lost:
            self._go()
        elif answering or self._eof:
            if answering or self.protocol.state is State.OPEN:
                self._write_out()
            else:  # nothing may follow a Close of ours
                self._drop_out()
            if self._eof:
                self.protocol.receive_eof()
            self.send_data()
            if self._eof:
                self.transport.close()
            self.cut_off_later()

    def _go(self) -> None:
        """Let the library know that the connection is gone."""
        super().connection_lost(self._why_lost)
        self._backlog.clear()
        self._connections.discard(self)
        if self.session is not None:
            self._port.closed[self.ended_by()] += 1

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
            self._port.writer.add(self)
        if self._out_size > FLUSH_AT:
            self._flush_now()

    def flush(self) -> None:
        """Write what waits, unless the peer takes nothing more now."""
        self._queued = False
        self._flush_now()

    def _flush_now(self) -> None:
        if self._lost or not (self.protocol.state is State.OPEN or self._answering):
            self._drop_out()
        elif not self.paused:
            self._write_out()
        elif self._out_size + self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._drop_out()
            if self.session is not None and self.session.leaving:
                self.transport.abort()
            else:
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
            self._port.gate.resume(self.session)

    @property
    def congested(self) -> bool:
        return self.paused and not self._lost

    async def room(self) -> None:
        while self.paused:
            await self.drain()

    def close_with(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a peer that does not answer is cut off."""
        if self.session is not None:
            self._port.gate.end(self.session)
        if self.protocol.state is State.OPEN:
            # Replies go before the close frame, and who is not read from cannot answer it.
            self.resume_reading()
            self._write_out()
            self.protocol.send_close(code, reason)
            self.send_data()
            self.cut_off_later()

    def go_away(self) -> None:
        """End, because the server stops."""
        if self.protocol.state is State.CONNECTING:
            self.transport.abort()
        else:
            self.close_with(1001, "the server goes away")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        # Not the library's, which waits for a reader that may never read.
        self.close_with(code, reason)
        await self.wait_closed()

    def beat(self) -> None:
        """Keep alive: a peer that said nothing since the last ping is gone."""
        if self._over or self._answering:
            return  # it is cut off in time
        if self.protocol.state is not State.OPEN:
            # The closing handshake is over or overdue, but the peer keeps the TCP connection.
            self.transport.abort()
        elif self.heard or self._stopped or self._waiting:
            self.heard = False
            self.protocol.send_ping(b"")
            self.send_data()
        else:
            self.close_with(1011, "no answer to a ping")
