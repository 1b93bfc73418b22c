"""One WebSocket: incoming frames without a queue, outgoing frames in one write per loop pass.

The library performs the handshake, control frames and the closing handshake. The hot path is our
own: the parser passes whole messages straight to the gate, and all frames of one pass of the event
loop are sent by one `write` (measured in docs/benchmarks.md).
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
"""Queued bytes that are written at once, before the end of the loop pass."""
MAX_SMALL = 512
"""Queued frames of a slow reader before they are joined into one."""
MAX_RESCUED = 256 * 1024
"""Bytes read from the kernel after a peer is lost; the size of one asyncio read."""


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
        """Start without reading and without a place in the budget.

        Args:
            connections: All connections of the port; contains this one until its end.
        """
        super().__init__(protocol, port, budget, **options)
        self._connections = connections
        self._out: list[bytes] = []
        self._out_size = 0
        self._queued = False
        self._joined = 0
        """The number of entries at the head of `_out` that are joined frames."""

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
            # The gate may have paused the session until the peer reads; nobody reads any more.
            self._port.gate.resume(self.session)

    def _rescue(self) -> None:
        """Read the bytes left in the kernel: after a failed write, asyncio stops reading."""
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
        """Notify the library that the connection is lost, and deregister."""
        super().connection_lost(self._why_lost)
        self._backlog.clear()
        self._connections.discard(self)
        if self.session is not None:
            self._port.closed[self.ended_by()] += 1

    def ended_by(self) -> str:
        """Return the server's close code, `client` if the client closed, or `lost`.

        Clients may choose any code; one label for all of them bounds the metric.
        """
        sent = self.protocol.close_sent
        if sent is None:
            return "lost"
        return "client" if self.protocol.close_rcvd_then_sent else str(int(sent.code))

    # To the peer

    def write(self, payload: bytes) -> None:
        size = len(payload)
        self._out += (HEADERS[size] if size < 1024 else header(size)), payload
        self._out_size += size + 4
        if not self._queued:
            self._queued = True
            self._port.writer.add(self)
        if self._out_size > FLUSH_AT:
            self._flush_now()

    def flush(self) -> None:
        """Write the queued frames, unless the peer reads too slowly."""
        self._queued = False
        if self.protocol.state is State.OPEN and not (self._lost or self.paused):
            self._write_out()
        else:
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
            # Join them: each small frame as an object needs many times its size in memory.
            self._out[self._joined :] = [b"".join(self._out[self._joined :])]
            self._joined += 1

    def _write_out(self) -> None:
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()
            self._out_size = self._joined = 0

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
        """Start the closing handshake; abort if the peer does not answer in CLOSE_TIMEOUT."""
        if self.session is not None:
            self._port.gate.end(self.session)
        if self.protocol.state is State.OPEN:
            # Send the replies before the close frame, and read the peer's answer to it.
            self.resume_reading()
            self._write_out()
            self.protocol.send_close(code, reason)
            self.send_data()
            self.cut_off_later()

    def go_away(self) -> None:
        """Close because the server stops."""
        if self.protocol.state is State.CONNECTING:
            self.transport.abort()
        else:
            self.close_with(1001, "the server is stopping")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        # The library's method waits for the peer to read, which may never happen.
        self.close_with(code, reason)
        await self.wait_closed()

    def beat(self) -> None:
        """Send a ping; close with 1011 if nothing has arrived since the last one."""
        if self._over or self._answering:
            return  # a timeout already ends it
        if self.protocol.state is not State.OPEN:
            # The closing handshake is over or overdue, but the TCP connection is still open.
            self.transport.abort()
        elif self.heard or self._stopped or self._waiting:
            self.heard = False
            self.protocol.send_ping(b"")
            self.send_data()
        else:
            self.close_with(1011, "no answer to a ping")
