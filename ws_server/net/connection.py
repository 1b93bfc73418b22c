"""One WebSocket: frames in without a queue, frames out in one write per pass of the loop.

The library does the handshake, control frames and the closing handshake. Two things are our own,
because they are the hot path: whole messages go straight from the parser to the gate, and what is
written in one pass of the event loop leaves in one `write` (measured in docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from ws_server.net.session import Session
from ws_server.net.writing import HEADERS, header

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
LAST_REPLIES = 5.0
"""Seconds in which a peer that is going gets replies to what it sent; then it is cut off."""
MAX_RESCUED = 256 * 1024
"""Bytes taken from the kernel of a peer that is gone; as many as one read brings."""


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
        self._cutting: asyncio.TimerHandle | None = None
        self._over = False
        """No more bytes are taken from the peer."""
        self._eof = False
        """It has ended its side of the TCP connection."""
        self._lost = False
        """None can be written to it either."""
        self._why_lost: Exception | None = None
        self._finished = False
        """The session has ended."""
        self._fragments: bytearray | None = None

    # From the peer

    def data_received(self, data: bytes) -> None:
        if self._over or self.transport.is_closing():
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
        if self._backlog:
            self._read_on_later()
        elif self._over:
            self._heard_all()
        elif not self._stopped and not self.transport.is_closing():
            self.transport.resume_reading()

    def _read_on_later(self) -> None:
        if not self._reading_on and not self._stopped:
            self._reading_on = True
            self.loop.call_soon(self._read_on)

    def _parse(self, data: bytes) -> None:
        super().data_received(data)
        if self._lost:
            return
        if self.transport.get_write_buffer_size() > MAX_WAITING:
            # Only pongs come here, which the library writes past us.
            self.transport.abort()
        elif self._answering:
            self._cut_off_later(LAST_REPLIES)
        elif self.protocol.state is State.CLOSING:
            self._cut_off_later()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        if self.session is None or self._finished:
            super().eof_received()
            return None
        # Not the library's yet, which lets the peer go before it is answered.
        self._eof = True
        self._cut_off_later(LAST_REPLIES)
        self.hear_no_more()
        return True

    def hear_no_more(self) -> None:
        """Take what has come, and nothing that comes from now on."""
        assert self.session is not None
        self._over = True
        self._listener.gate.depart(self.session)
        if self._backlog:
            self._read_on_later()
        else:
            self._heard_all()

    def _heard_all(self) -> None:
        if self.session is not None:
            self._listener.gate.leave(self.session)

    @property
    def is_busy(self) -> bool:
        """Whether something that came is not carried out yet."""
        session = self.session
        return session is not None and (bool(self._backlog) or self._listener.gate.is_busy(session))

    @property
    def _answering(self) -> bool:
        """The peer has said Close; ours follows once what came before is answered."""
        return (
            self.session is not None
            and not self._finished
            and self.protocol.state is State.CLOSING
            and self.protocol.close_rcvd_then_sent is True
        )

    def send_data(self) -> None:
        if self._lost or self.transport.is_closing():
            self.protocol.data_to_send()
        elif not self._answering:
            super().send_data()

    def process_event(self, event: Event) -> None:
        self._frames += 1
        if not isinstance(event, Frame):
            super().process_event(event)
            return
        self.heard = True
        session = self.session
        if session is None:
            self._early.append(event)
        elif event.opcode is Opcode.CLOSE:
            self._heard_all()
        elif event.opcode not in DATA_OPCODES or session.heard_all:
            return  # the protocol has answered pings; pongs only say that the peer lives
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
            self._heard_all()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._listener.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost, self._why_lost = True, exc
        self._drop_out()
        if self.session is None or self._finished:
            self._go()
        else:
            self._rescue()
            self.hear_no_more()
            # What waited until the peer would read waits no longer.
            self._listener.gate.resume(self.session)

    def _rescue(self) -> None:
        """Take what is still in the kernel: after a write that failed, asyncio reads no more."""
        if self.transport.get_extra_info("sslcontext") is not None:
            return
        with suppress(OSError), self.transport.get_extra_info("socket").dup() as socket:
            socket.setblocking(False)
            while len(self._backlog) < MAX_RESCUED and (data := socket.recv(MAX_RESCUED)):
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
            self._cut_off_later()

    def _go(self) -> None:
        """Let the library know that the connection is gone."""
        super().connection_lost(self._why_lost)
        self._backlog.clear()
        self._listener.connections.discard(self)
        if self.session is not None:
            self._listener.closed[self.ended_by()] += 1

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
        if self._lost or not (self.protocol.state is State.OPEN or self._answering):
            self._drop_out()
        elif not self.paused:
            self._write_out()
        elif self._out_size + self.transport.get_write_buffer_size() > MAX_WAITING:
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
            self._listener.gate.resume(self.session)

    @property
    def congested(self) -> bool:
        return self.paused and not self._lost

    async def room(self) -> None:
        while self.paused:
            await self.drain()

    def pause_reading(self) -> None:
        self._stopped = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._stopped = False
        if self._backlog:
            self._read_on_later()
        elif not self._over and not self.transport.is_closing():
            self.transport.resume_reading()

    def close_with(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a peer that does not answer is cut off."""
        if self.session is not None:
            self._listener.gate.end(self.session)
        if self.protocol.state is State.OPEN:
            # Replies go before the close frame, and who is not read from cannot answer it.
            self.resume_reading()
            self._write_out()
            self.protocol.send_close(code, reason)
            self.send_data()
            self._cut_off_later()

    def _cut_off_later(self, seconds: float = CLOSE_TIMEOUT) -> None:
        """A peer that does not answer a close frame, or read its last replies, is cut off."""
        due = self.loop.time() + seconds
        if self._cutting is None or self._cutting.when() > due:
            if self._cutting is not None:
                self._cutting.cancel()
            self._cutting = self.loop.call_at(due, self.transport.abort)

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
