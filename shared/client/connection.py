"""One WebSocket to a realm: whole frames in and out, with detection of a dead connection.

Frames go straight from the library's parser to the client. All frames written in one pass of the
event loop leave in one write, as in the server.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import DATA_OPCODES, Close, Frame, Opcode
from websockets.protocol import Event, State
from websockets.uri import WebSocketURI, parse_uri

from shared import sockets
from shared.protocol.values import MAX_FRAME

OPEN_SECONDS = 10.0
"""Seconds for name resolution, TCP, TLS and the WebSocket handshake together."""
CLOSE_SECONDS = 1.0
"""Seconds for the closing handshake; then the connection is cut."""
SILENCE_SECONDS = 45.0
"""Seconds without a byte after which the server counts as gone: it pings every 20."""
URGENT_SILENCE_SECONDS = 10.0
"""The same while a short command waits for its answer; the client pings in between."""
CHECK_SECONDS = 2.5
"""Seconds between checks for silence."""


_LIBRARY_LOG = logging.getLogger(f"{__name__}.websocket")
# At lower levels the library logs every frame, including passwords and tokens.
_LIBRARY_LOG.setLevel(logging.INFO)


class ServerUnreachable(Exception):
    """The connection failed; the text gives the reason."""


def parse_url(url: str) -> WebSocketURI:
    """Return the parts of a `ws://` or `wss://` address.

    Raises:
        ValueError: the text is not such an address.
    """
    try:
        return parse_uri(url)
    except InvalidURI as error:
        raise ValueError(f"{url!r} is not a ws:// or wss:// address") from error


class ClientWebSocket(ClientConnection):
    """A WebSocket that reports each text frame and, once, its end.

    `on_frame` gets the frame's bytes; `on_end` gets the close code (1006 for none) and a reason;
    `on_room` is called when writing is possible again after `paused` was true.
    """

    on_frame: Callable[[bytes], None]
    on_end: Callable[[int, str], None]
    on_room: Callable[[], None]
    urgent: Callable[[], bool]
    """Whether a short command waits; the limit for silence is then shorter."""

    def __init__(self, protocol: ClientProtocol) -> None:
        super().__init__(protocol, ping_interval=None)
        self._fragments: list[bytes] | None = None
        self._to_flush = False
        self._ended = False
        self._early: list[bytes] | None = []
        """Frames received before `start`."""
        self.reading = True
        """Whether the socket is being read."""
        self._heard_at = self._asked_at = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start reporting frames; the callbacks are set."""
        early, self._early = self._early, None
        for frame in early or ():
            self.on_frame(frame)
        self._look()

    @property
    def is_open(self) -> bool:
        return not self._ended and self.protocol.state is State.OPEN

    def write(self, frame: bytes) -> None:
        """Send a text frame at the end of this pass of the event loop."""
        self.protocol.send_text(frame)
        if not self._to_flush:
            self._to_flush = True
            self.loop.call_soon(self._write_out)

    def read_on(self, on: bool) -> None:
        """Resume or pause reading from the socket."""
        if on == self.reading or self._ended:
            return
        self.reading = on
        if on:
            self._heard_at = self.loop.time()
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def end(self, code: int, reason: str) -> None:
        """Stop reporting frames, report the end, and close."""
        if self._ended:
            return
        self.read_on(True)
        self._ended = True
        if self._watch is not None:
            self._watch.cancel()
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(1000)
        if not self.transport.is_closing():
            self.send_data()
            self.transport.close()
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
        if self._early is None:
            self.on_end(code, reason)

    async def gone(self) -> None:
        """Wait until the socket is closed, soon after `end`."""
        await asyncio.wait([self.connection_lost_waiter])

    # Called by the library

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        super().data_received(data)
        if self.protocol.parser_exc is not None:
            self._failed()

    def process_event(self, event: Event) -> None:
        if self.response is None:
            super().process_event(event)
            return
        assert isinstance(event, Frame)
        if event.opcode in DATA_OPCODES:
            if event.opcode is Opcode.TEXT and event.fin:
                self._take(bytes(event.data))
            else:
                self._gather(event)
        elif event.opcode is Opcode.CLOSE:
            close = self.protocol.close_rcvd or Close(1005, "")
            self.end(close.code, close.reason or "the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.end(1006, f"the connection broke{f': {exc}' if exc else ''}")

    def resume_writing(self) -> None:
        super().resume_writing()
        self.on_room()

    def _gather(self, event: Frame) -> None:
        """Join the fragments of a message; the library bounds their total size."""
        if self._fragments is None:
            self._fragments = []
        self._fragments.append(bytes(event.data))
        if event.fin:
            frame, self._fragments = b"".join(self._fragments), None
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        if self._early is not None:
            self._early.append(frame)
        elif not self._ended:
            self.on_frame(frame)

    def _write_out(self) -> None:
        self._to_flush = False
        self.send_data()

    def send_data(self) -> None:
        # The library's own method writes once for each frame, also at each read.
        parts = self.protocol.data_to_send()
        if parts and not self.transport.is_closing():
            self.transport.write(b"".join(parts))
            if b"" in parts and self.transport.can_write_eof():
                self.transport.write_eof()

    def _look(self) -> None:
        """End a silent connection: it is half-open, or the server hangs."""
        self._watch = self.loop.call_later(CHECK_SECONDS, self._look)
        now = self.loop.time()
        if self.protocol.state is not State.OPEN:
            self._failed()
        elif not self.reading:
            self._heard_at = now
        elif now - self._heard_at > SILENCE_SECONDS:
            self.end(1006, f"the server has said nothing for {SILENCE_SECONDS:.0f} s")
        elif self.urgent():
            if self._asked_at <= self._heard_at:
                self._asked_at = now
                self.protocol.send_ping(b"")
                self.send_data()
            elif now - self._asked_at > URGENT_SILENCE_SECONDS:
                self.end(1006, f"the server has not answered for {URGENT_SILENCE_SECONDS:.0f} s")

    def _failed(self) -> None:
        """End the connection: the server violated the WebSocket protocol."""
        close = self.protocol.close_sent or Close(1006, "")
        self.end(1006, f"the server's frames were not right: {close.code} {close.reason}")


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a realm.

    Args:
        tls: The TLS context, for `wss://`.
        unix: The realm's socket on this machine, used in place of host, port and TLS.
        forwarded_for: Address of the person that this connection serves.
    """

    uri: WebSocketURI
    tls: ssl.SSLContext | None
    unix: Path | None
    forwarded_for: str


async def open_connection(way: Way) -> ClientWebSocket:
    """Connect within OPEN_SECONDS, without a proxy and without following redirects.

    Raises:
        ServerUnreachable: the connection failed.
    """
    uri = way.uri
    headers = Headers({"X-Forwarded-For": way.forwarded_for} if way.forwarded_for else {})

    # The library's connect() follows redirects and uses the system's proxy, so it is not used.
    def create() -> ClientWebSocket:
        return ClientWebSocket(ClientProtocol(uri, max_size=MAX_FRAME, logger=_LIBRARY_LOG))

    connection: ClientWebSocket | None = None
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            loop = asyncio.get_running_loop()
            if way.unix is not None:
                with sockets.short(way.unix) as path:
                    _, connection = await loop.create_unix_connection(create, path)
            else:
                _, connection = await loop.create_connection(
                    create,
                    uri.host,
                    uri.port,
                    ssl=way.tls if uri.secure else None,
                    server_hostname=uri.host if uri.secure else None,
                )
            await connection.handshake(headers)
        return connection
    except BaseException as error:
        if connection is not None:
            connection.transport.abort()
            await connection.gone()
        if isinstance(error, TimeoutError):
            raise ServerUnreachable(f"no answer within {OPEN_SECONDS:.0f} s") from None
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            raise ServerUnreachable(f"HTTP {status}: this is not a chat server") from None
        if isinstance(error, InvalidHandshake | OSError | EOFError):
            # Without the error number, which does not help most people.
            why = re.sub(r"\[Errno -?\d+\] ", "", str(error))
            raise ServerUnreachable(why or type(error).__name__) from None
        raise
