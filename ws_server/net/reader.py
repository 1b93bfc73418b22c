"""The reading half of a WebSocket: received bytes wait for a turn, then go to the gate.

A stranger's bytes are parsed frame by frame, so that each frame is checked against the size limit
and the address's budget first. A signed-in connection's bytes are parsed in pieces.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, cast

from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from ws_server.net.budgets import STRANGER_FRAME, Budget
from ws_server.net.closing import LAST_REPLIES
from ws_server.net.counted import Counted
from ws_server.net.frame_bounds import continues, measure, small_text
from ws_server.net.port import Port
from ws_server.net.session import Session
from ws_server.pipeline import DRAINING, ENDED

MAX_UNSENT_BYTES = 4 * 2**20
"""Bytes that may wait to be sent to a peer; beyond, it is closed with 4000."""
STEP = 1024
"""Bytes parsed at a time, except for a larger frame; the smallest frames have 6 bytes."""
MAX_FRAMES = 64
"""Frames of one connection after which its turn ends; the last STEP may exceed this."""
PAUSE_ABOVE = 64 * 1024
"""Bytes that may wait for a turn before reading is paused."""
NOISE_SIZE = 256
"""Bytes below which a fragment counts as noise, like a control frame."""
MAX_CRUMBS = 16
"""Consecutive reads without a complete frame; further small ones count as noise."""
HEAD_END = b"\r\n\r\n"


class Reader(Counted):
    """The incoming direction of a connection. `Connection` adds the outgoing direction."""

    def __init__(
        self, protocol: ServerProtocol, port: Port, budget: Budget, **options: Any
    ) -> None:
        super().__init__(protocol, port, budget, **options)
        self.heard = True
        """Whether a frame has arrived since the last ping."""
        self._waiting = False
        """Whether it is in the ring of `Rounds`."""
        self._silenced = False
        """Reading is paused until the backlog is parsed."""
        self._head = 0
        """Bytes of the request's head so far."""
        self._rest = 0
        """Bytes of a large frame that are not parsed yet."""
        self._frames = 0
        self._crumbs = 0
        self._fragments: bytearray | None = None

    # Bytes

    def data_received(self, data: bytes) -> None:
        if self._over or self.transport.is_closing():
            return
        if self.session is None and self.protocol.eof_sent:
            return  # the HTTP request has been answered
        now = perf_counter()
        share = self._share
        if (
            self._backlog
            or self._waiting
            or self._stopped
            or self.careful
            or self.session is None
            or len(data) > STEP
            or (share.level <= 0 and share.refill(now) <= 0)
        ):
            self._backlog += data
            if self.careful or self.session is None:
                self._take_turn(now)
            else:
                self._wait()
            self._weigh()
        else:
            before = self._frames
            self._parse(data)
            if self._frames == before or self._held:
                self._count_crumb(len(data), self._frames == before)
            after = perf_counter()
            share.spend(after - now, after)

    def _take_turn(self, now: float) -> None:
        """Parse one frame at once if the budgets allow it, else wait for a turn."""
        if (
            self._waiting
            or self._stopped
            or not self._goes_by_frames()
            or self._share.refill(now) <= 0
            or not self.ready
            or (self.careful and not self.budget.affords(now))
        ):
            self._wait()
            return
        if self._read_frame():
            self._wait()
        after = perf_counter()
        self.budget.spend(after - now, after, not self.careful)

    def _count_crumb(self, size: int, is_crumb: bool) -> None:
        """Count small reads that complete no frame, and update the unprocessed bytes."""
        self._crumbs = self._crumbs + 1 if is_crumb else 0
        if self._crumbs > MAX_CRUMBS and size < NOISE_SIZE:
            self._make_noise()
        self._weigh()

    def _wait(self) -> None:
        """Wait for a turn; pause reading if the backlog is large."""
        if len(self._backlog) > PAUSE_ABOVE and not self._silenced and not self._over:
            self._silenced = True
            self.transport.pause_reading()
        if not self._waiting and not self._stopped:
            self._waiting = True
            self._port.rounds.add(self)

    @property
    def ready(self) -> bool:
        """Whether the next frame may be parsed; False while a command runs exclusively."""
        return self.session is None or not self.session.pipeline.exclusive

    def step(self) -> bool:
        """Parse a part of the backlog; return True if another turn is needed."""
        if (
            len(self._backlog) <= STEP
            and not (self.careful or self._rest or self._stopped or self._silenced)
            and self._backlog
            and self.session is not None
        ):
            # Fast path: one small command from a busy address.
            piece, self._backlog = self._backlog, bytearray()
            self._waiting = False
            self._parse(piece)
            self._weigh()
            if self._over:
                self._heard_all()
            return False
        more = False
        if self._backlog and not self._stopped:
            more = self._read_frame() if self._goes_by_frames() else self._read_pieces()
        self._weigh()
        self._waiting = more and not self._stopped
        if not more and not self._stopped:
            if self._over:
                self._heard_all()
            elif not self._waits_for_answer():
                self._listen()
        return self._waiting

    def _waits_for_answer(self) -> bool:
        """Return whether the HTTP request was parsed and its response is pending."""
        return self.session is None and self.request is not None

    def _listen(self) -> None:
        if self._silenced and not self._over and not self.transport.is_closing():
            self._silenced = False
            self.transport.resume_reading()

    def _goes_by_frames(self) -> bool:
        return self.session is None or (self.careful and self.protocol.state is State.OPEN)

    def _read_pieces(self) -> bool:
        self._frames = 0
        while self._backlog and not self._stopped and self._frames < MAX_FRAMES:
            if not self._rest and not self.protocol.reader.buffer:
                measured = measure(self._backlog)
                self._rest = measured[0] if measured is not None and measured[0] > STEP else 0
            piece = self._backlog[: self._rest or STEP]
            del self._backlog[: len(piece)]
            self._rest = max(0, self._rest - len(piece))
            self._parse(piece)
        return bool(self._backlog)

    def _read_frame(self) -> bool:
        """Parse one complete frame, or a part of the request's head.

        Returns:
            Whether bytes are left that may contain another frame.
        """
        if self.session is None:
            return self._read_head()
        measured = measure(self._backlog)
        if measured is None:
            return False
        size, payload = measured
        if continues(self._backlog):
            payload += self.protocol.current_size or 0
        if payload > STRANGER_FRAME:
            self.refuse("frame", 1009, f"frames above {STRANGER_FRAME} bytes need a sign-in")
            return bool(self._backlog)
        if len(self._backlog) < size:
            return False
        frame = self._backlog[:size]
        del self._backlog[:size]
        self._parse(frame)
        return bool(self._backlog)

    def _read_head(self) -> bool:
        """Parse the received part of the request's head; frames wait until it is answered."""
        if self.request is not None:
            return False
        end = self._backlog.find(HEAD_END)
        size = max(0, len(self._backlog) - 3) if end < 0 else end + len(HEAD_END)
        self._head += size
        if self._head > STRANGER_FRAME:
            self._port.budgets.refused["head"] += 1
            why = f"The head of a request has at most {STRANGER_FRAME} bytes.\n"
            self.protocol.send_response(self.protocol.reject(431, why))
            self._parse(b"")
        elif size:
            head = self._backlog[:size]
            del self._backlog[:size]
            self._parse(head)
        return False

    def _parse(self, data: bytes | bytearray) -> None:
        if self.protocol.reader.eof:
            self._backlog.clear()  # the library accepts no bytes after the end
            return
        data = self._read_texts(data)
        if data:
            super().data_received(cast(bytes, data))
        elif self.protocol.state is State.OPEN:
            return
        if self._lost:
            return
        protocol = self.protocol
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            # Only pongs can cause this: the library writes them to the transport directly.
            self.transport.abort()
        elif self._answering:
            self.cut_off_later(LAST_REPLIES)
        elif protocol.state is State.CLOSING or (protocol.eof_sent and self.request is None):
            self.cut_off_later()

    # Frames

    def _read_texts(self, data: bytes | bytearray) -> bytes | bytearray:
        """Deliver the small texts at the beginning of `data`; return the rest, for the library."""
        protocol, start = self.protocol, 0
        if protocol.reader.buffer or protocol.current_size is not None:
            return data  # inside a frame or a fragmented message
        while protocol.state is State.OPEN and (found := small_text(data, start)) is not None:
            payload, start = found
            self._frames += 1
            self.heard = True
            session = self.session
            assert session is not None
            self._deliver(session, payload)
        return data[start:] if start else data

    def process_event(self, event: Event) -> None:
        self._frames += 1
        if not isinstance(event, Frame):
            super().process_event(event)
            return
        self.heard = True
        session = self.session
        assert session is not None
        if event.opcode is Opcode.CLOSE:
            self._heard_all()
        elif event.opcode not in DATA_OPCODES:
            # The library has answered a ping; a pong needs no action beyond `heard`.
            self._make_noise()
        elif event.opcode is Opcode.TEXT and event.fin:
            self._deliver(session, bytes(event.data))
        elif not self._is_done(session):
            self._collect(session, event)

    def begin(self, session: Session) -> None:
        """Attach the session after the handshake, and start to parse frames."""
        self.session = session
        if self._backlog or self._silenced:
            self._wait()

    def _collect(self, session: Session, frame: Frame) -> None:
        """Join fragments; the library has checked their order and their total size."""
        if len(frame.data) < NOISE_SIZE and not (frame.fin and frame.opcode is Opcode.BINARY):
            self._make_noise()
        if frame.opcode is Opcode.BINARY:
            self._fragments = None
        elif frame.opcode is Opcode.TEXT:
            self._fragments = bytearray(frame.data)
        elif self._fragments is not None:
            self._fragments += frame.data
        if not frame.fin:
            self._weigh()
        else:
            whole, self._fragments = self._fragments, None
            if whole is not None:
                self._deliver(session, bytes(whole))
            else:
                self._port.gate.receive_binary(session)

    @staticmethod
    def _is_done(session: Session) -> bool:
        """Return whether no further command of the session is carried out."""
        life = session.pipeline.life
        return life is DRAINING or life is ENDED

    def _deliver(self, session: Session, payload: bytes) -> None:
        """Pass a text on, unless no further command is carried out."""
        if self._is_done(session):
            return
        try:
            self._port.gate.receive(session, payload)
        except UnicodeDecodeError:
            self.protocol.fail(1007, "not UTF-8")
            self.send_data()
            self._heard_all()

    def _weigh(self) -> None:
        """Update the unprocessed bytes in the budget."""
        held = len(self._backlog) + len(self.protocol.reader.buffer)
        if self._fragments:
            held += len(self._fragments)
        if held != self._held:
            self._hold(held)

    # Pausing

    def pause_reading(self) -> None:
        self._stopped = self._silenced = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._stopped = False
        if self._backlog:
            self._wait()
        else:
            self._listen()
