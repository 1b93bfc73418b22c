"""The end of a WebSocket: execute the commands received before it, then close."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.protocol import State
from websockets.server import ServerProtocol

from ws_server.net.port import Port
from ws_server.net.session import Session

CLOSE_TIMEOUT = 2.0
"""Seconds for a peer to answer a close frame, also while the server stops."""
LAST_REPLIES = 5.0
"""Seconds to reply to the last commands of a closing peer; then the connection is aborted."""


class Ending(ServerConnection):
    """The closing state of a connection; the base of the other connection classes."""

    def __init__(self, protocol: ServerProtocol, port: Port, **options: Any) -> None:
        # `Port` has the attributes that the library uses of a `Server`.
        super().__init__(protocol, cast(Server, port), **options)
        self._port = port
        self.session: Session | None = None
        self._backlog = bytearray()
        """Received bytes that are not parsed yet."""
        self._stopped = False
        """The gate has paused this connection."""
        self._cutting: asyncio.TimerHandle | None = None
        self._over = False
        """No more bytes are accepted from the peer."""
        self._eof = False
        """The peer has closed its side of the TCP connection."""
        self._lost = False
        """The TCP connection is lost in both directions."""
        self._why_lost: Exception | None = None
        self._finished = False
        """The session has ended."""

    def _wait(self) -> None:
        """Queue the backlog for its turn."""
        raise NotImplementedError

    def eof_received(self) -> bool | None:  # type: ignore[override]
        if self.session is None or self._finished:
            # Without an open session, the backlog cannot be processed.
            self._over = True
            self._backlog.clear()
            super().eof_received()
            return None
        # Delay the library's handling, which closes before the last replies are sent.
        self._eof = True
        self.cut_off_later(LAST_REPLIES)
        self.hear_no_more()
        return True

    def hear_no_more(self) -> None:
        """Process the backlog, and accept no further bytes."""
        assert self.session is not None
        self._over = True
        self._port.gate.depart(self.session)
        if self._backlog:
            self._wait()
        else:
            self._heard_all()

    def _heard_all(self) -> None:
        if self.session is not None:
            self._port.gate.leave(self.session)

    @property
    def is_busy(self) -> bool:
        """Whether received bytes or commands are still being processed."""
        session = self.session
        return session is not None and (bool(self._backlog) or session.pipeline.is_busy)

    @property
    def _answering(self) -> bool:
        """Whether the peer has sent Close and the replies to earlier commands are pending.

        Our Close is sent after them.
        """
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

    def cut_off_later(self, seconds: float = CLOSE_TIMEOUT) -> None:
        """Abort the connection after some seconds, unless it has ended by then."""
        due = self.loop.time() + seconds
        if self._cutting is None or self._cutting.when() > due:
            if self._cutting is not None:
                self._cutting.cancel()
            self._cutting = self.loop.call_at(due, self.transport.abort)
