"""How a WebSocket ends: what came before the end is carried out, then the peer is let go."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.protocol import State
from websockets.server import ServerProtocol

from ws_server.net.port import Port
from ws_server.net.session import Session

CLOSE_TIMEOUT = 2.0
"""Seconds a peer has to answer a close frame; stopping the server waits no longer either."""
LAST_REPLIES = 5.0
"""Seconds in which a peer that is going gets replies to what it sent; then it is cut off."""


class Ending(ServerConnection):
    """The state of a connection's end, for all that is built on it."""

    def __init__(self, protocol: ServerProtocol, port: Port, **options: Any) -> None:
        # The library wants of a server what the port has: the handler, and its tasks.
        super().__init__(protocol, cast(Server, port), **options)
        self._port = port
        self.session: Session | None = None
        self._backlog = bytearray()
        """What came and is not parsed yet."""
        self._stopped = False
        """The gate takes no more for now."""
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

    def _wait(self) -> None:
        """Let what came wait for its turn."""
        raise NotImplementedError

    def eof_received(self) -> bool | None:  # type: ignore[override]
        if self.session is None or self._finished:
            # What waits for its turn is of no use to anybody.
            self._over = True
            self._backlog.clear()
            super().eof_received()
            return None
        # Not the library's yet, which lets the peer go before it is answered.
        self._eof = True
        self.cut_off_later(LAST_REPLIES)
        self.hear_no_more()
        return True

    def hear_no_more(self) -> None:
        """Take what has come, and nothing that comes from now on."""
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
        """Whether something that came is not carried out yet."""
        session = self.session
        return session is not None and (bool(self._backlog) or session.pipeline.is_busy)

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

    def cut_off_later(self, seconds: float = CLOSE_TIMEOUT) -> None:
        """A peer that does not answer a close frame, or read its last replies, is cut off."""
        due = self.loop.time() + seconds
        if self._cutting is None or self._cutting.when() > due:
            if self._cutting is not None:
                self._cutting.cancel()
            self._cutting = self.loop.call_at(due, self.transport.abort)
