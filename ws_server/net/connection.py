"""One WebSocket: frames in without a queue, frames out in one write per pass of the loop.

The library does the handshake, control frames and the closing handshake. Two things are our own,
because they are the hot path: whole messages go straight from the parser to the gate, and what is
written in one pass of the event loop leaves in one `write` (measured in docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from ws_server.net.session import Session

if TYPE_CHECKING:
    from ws_server.net.listener import Listener

log = logging.getLogger(__name__)

MAX_WAITING = 4 * 2**20
"""Bytes that may wait for a connection; a slower reader is cut off with 4000."""
FLUSH_AT = 1 << 20
"""Bytes to write at once even within one pass of the loop."""
MAX_SMALL = 512
"""Frames that may wait one by one for a slow reader before they are joined."""
STEP = 4 * 1024
"""Bytes parsed at a time; the smallest frames take 10 of them."""
MAX_FRAMES = 64
"""Frames of one connection in one pass of the loop, but for what the last STEP holds."""
CLOSE_TIMEOUT = 2.0
"""Seconds a peer has to answer a close frame; stopping the server waits no longer either."""


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


class Connection(ServerConnection):
    """A client's WebSocket; it is the `Outlet` of its session."""

    def __init__(
        self, protocol: ServerProtocol, server: Server, listener: Listener, **options: Any
    ) -> None:
        super().__init__(protocol, server, **options)
        self._listener = listener
        self.session: Session | None = None
        self.heard = True
        """Whether anything came since the last ping."""
        self._out: list[bytes] = []
        self._out_size = 0
        self._queued = False
        self._joined = 0
        """How many of `_out` are frames joined already."""
        self._early: list[Frame] = []
        self._backlog = bytearray()
        """What came and is not parsed yet, because others had their turn."""
        self._reading_on = False
        self._stopped = False
        """The gate takes no more for now."""
        self._frames = 0
        self._ending = False
        self._fragments: bytearray | None = None

    # From the peer

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._backlog or self._stopped or len(data) > STEP:
            self._backlog += data
            if not self._reading_on and not self._stopped:
                self.transport.pause_reading()
                self._read_on()
        else:
            self._parse(data)

    def _read_on(self) -> None:
        """Parse what waits, at most about MAX_FRAMES in one pass, so that nobody starves others."""
        self._reading_on = False
        self._frames = 0
        while self._backlog and not self._stopped and self._frames < MAX_FRAMES:
            piece = bytes(self._backlog[:STEP])
            del self._backlog[:STEP]
            self._parse(piece)
        if self.transport.is_closing():
            self._backlog.clear()
        elif self._backlog and not self._stopped:
            self._reading_on = True
            self.loop.call_soon(self._read_on)
        elif not self._stopped:
            self.transport.resume_reading()

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_WAITING:
            # Only pongs come here, which the library writes past us.
            self.transport.abort()
        elif self.protocol.state is State.CLOSING:
            self._cut_off_later()

    def eof_received(self) -> None:
        super().data_received(bytes(self._backlog))
        self._backlog.clear()
        super().eof_received()

    def process_event(self, event: Event) -> None:
        self._frames += 1
        if not isinstance(event, Frame):
            super().process_event(event)
            return
        self.heard = True
        session = self.session
        if event.opcode not in DATA_OPCODES:
            # The protocol has answered pings and closes; pongs only say that the peer lives.
            if event.opcode is Opcode.CLOSE and session is not None:
                self._listener.gate.leave(session)
            return
        if session is None:
            self._early.append(event)
        elif event.opcode is Opcode.TEXT and event.fin:
            self._deliver(session, event.data)
        else:
            self._collect(session, event)

    def begin(self, session: Session) -> None:
        """The handshake is done; take what came since, then everything as it comes."""
        self.session = session
        early, self._early = self._early, []
        for frame in early:
            self.process_event(frame)

    def _collect(self, session: Session, frame: Frame) -> None:
        """Join fragments; the protocol has checked their order and their size together."""
        if frame.opcode is Opcode.BINARY:
            self._fragments = None
        elif frame.opcode is Opcode.TEXT:
            self._fragments = bytearray(frame.data)
        elif self._fragments is not None:
            self._fragments += frame.data
        if frame.fin:
            whole, self._fragments = self._fragments, None
            if whole is not None:
                self._deliver(session, bytes(whole))
            elif session.open:
                self._listener.gate.receive_binary(session)

    def _deliver(self, session: Session, payload: bytes | bytearray | memoryview) -> None:
        if not session.open:
            return
        try:
            self._listener.gate.receive(session, bytes(payload))
        except UnicodeDecodeError:
            self.protocol.fail(1007, "not UTF-8")
            self.send_data()
            session.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._backlog.clear()
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

    def pause_reading(self) -> None:
        self._stopped = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._stopped = False
        if self._backlog and not self._reading_on:
            self._reading_on = True
            self.loop.call_soon(self._read_on)
        elif not self._backlog and not self.transport.is_closing():
            self.transport.resume_reading()

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
            self._cut_off_later()

    def _cut_off_later(self) -> None:
        """A peer that does not answer a close frame is cut off."""
        if not self._ending:
            self._ending = True
            self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        # Not the library's, which waits for a reader that may never read.
        self.close_with(code, reason)
        await self.wait_closed()

    def beat(self) -> None:
        """Keep alive: a peer that said nothing since the last ping is gone."""
        if self.protocol.state is not State.OPEN:
            # The closing handshake is over or overdue, but the peer keeps the TCP connection.
            self.transport.abort()
        elif self.heard or self._stopped:
            self.heard = False
            self.protocol.send_ping(b"")
            self.send_data()
        else:
            self.close_with(1011, "no answer to a ping")


def connection_factory(listener: Listener) -> Callable[..., ServerConnection]:
    """Return what the library calls for every new connection."""

    def create(protocol: ServerProtocol, server: Server, **options: Any) -> Connection:
        return Connection(protocol, server, listener, **options)

    return create
