"""Acceptance of connections: count at once, refuse cheaply, start in turn.

The library accepts and starts every connection. Here most connections of a flooding address are
closed unread, and the others start in turn with those of other addresses. Connections in their TLS
handshake are counted, too, which the library does not expose.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from contextlib import suppress
from time import perf_counter

from websockets.server import ServerProtocol

from shared.protocol.values import MAX_FRAME
from shared.settings import is_trusted
from ws_server.net.budgets import Budget, BudgetedConnection, Place
from ws_server.net.closing import CLOSE_TIMEOUT
from ws_server.net.connection import Connection
from ws_server.net.port import Port

log = logging.getLogger(__name__)

AT_ONCE = 32
"""Connections accepted in one pass of the event loop."""
HANDSHAKE_SECONDS = 10.0
"""For the TLS handshake, and again for the HTTP request after it."""
BEGIN_COST, TLS_COST = 0.0005, 0.002
"""Seconds of the event loop to start a connection, and its TLS. Neither can be measured where it
runs, so both are charged in advance."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS = 1.0
"""Pause in accepting after the system ran out of descriptors or memory."""
BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 10\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 62\r\n\r\n"
    b"Too many connections from your address; close some, or wait.\r\n"
)


class Arrival:
    """An accepted connection that waits for its turn or its TLS handshake."""

    careful = True
    ready = True

    def __init__(
        self, acceptor: Acceptor, sock: socket.socket, tls: ssl.SSLContext | None, budget: Budget
    ) -> None:
        self.budget = budget
        self.spare = False
        self._acceptor = acceptor
        self._port = acceptor.port
        self._sock = sock
        self._tls = tls
        self._since = perf_counter()
        self._over = False
        self._timeouts: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def step(self) -> bool:
        """Start the connection in a task, because creating a transport is asynchronous."""
        if perf_counter() - self._since > HANDSHAKE_SECONDS:
            self.drop("")
        elif not self._over:
            cost = BEGIN_COST + (TLS_COST if self._tls is not None else 0)
            self.budget.spend(cost, perf_counter(), known=False)
            self._task = asyncio.get_running_loop().create_task(self._begin())
        return False

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._timeouts = {
                "ssl_handshake_timeout": HANDSHAKE_SECONDS,
                "ssl_shutdown_timeout": CLOSE_TIMEOUT,
            }
        try:
            await loop.connect_accepted_socket(
                self._create_connection, self._sock, ssl=self._tls, **self._timeouts
            )
        except (OSError, asyncio.CancelledError):
            # The peer disconnected, or failed the TLS handshake.
            self.drop("")

    def _create_connection(self) -> Connection:
        options = {"ping_interval": None, "close_timeout": CLOSE_TIMEOUT}
        protocol = ServerProtocol(max_size=MAX_FRAME)
        connection = Connection(
            protocol, self._port, self.budget, self._acceptor.connections, **options
        )
        connection.spare = self.spare
        connection.hand_over = self.hand_over
        return connection

    def hand_over(self, connection: BudgetedConnection) -> bool:
        """Replace this arrival in the budget by its connection; False if this was dropped."""
        if self._over:
            return False
        self._end()
        self._port.budgets.replace(self.budget, self, connection)
        return True

    def _end(self) -> None:
        self._over = True
        self._acceptor.arrivals.discard(self)

    def drop(self, reason: str) -> None:
        if not self._over:
            self._end()
            self._port.budgets.leave(self.budget, self)
            if self._task is not None:
                self._task.cancel()
            self._sock.close()


class Acceptor:
    """The listening sockets, and the accepted connections that have not started."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.connections: set[Connection] = set()
        """Every TCP connection, those still in their handshake included."""
        self.arrivals: set[Arrival] = set()
        self._sockets: list[socket.socket] = []

    def open(self, listening: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Start to accept on a listening socket, and own the socket."""
        self._sockets.append(listening)
        self._resume(listening, tls)

    def close(self) -> None:
        """Close the listening sockets, and drop the connections that have not started."""
        self.port.is_closing = True
        loop = asyncio.get_running_loop()
        while self._sockets:
            listening = self._sockets.pop()
            loop.remove_reader(listening)
            listening.close()
        for arrival in tuple(self.arrivals):
            arrival.drop("")

    def _resume(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        if not self.port.is_closing:
            loop = asyncio.get_running_loop()
            loop.add_reader(listening, self._accept, listening, tls)

    def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                log.warning("no connection can be accepted: %s", error.strerror)
                loop = asyncio.get_running_loop()
                loop.remove_reader(listening)
                loop.call_later(PAUSE_SECONDS, self._resume, listening, tls)
                return
            sock.setblocking(False)
            self._admit(sock, self._budget(sock, peer), tls)

    def _budget(self, sock: socket.socket, peer: tuple[str, int]) -> Budget:
        budgets = self.port.budgets
        if sock.family == socket.AF_UNIX or is_trusted(peer[0], self.port.trusted):
            return budgets.unidentified
        return budgets.of(peer[0])

    def _admit(self, sock: socket.socket, budget: Budget, tls: ssl.SSLContext | None) -> None:
        arrival = Arrival(self, sock, tls, budget)
        place = self.port.budgets.admit(budget, arrival)
        if place is Place.NONE:
            if tls is None:
                with suppress(OSError):
                    sock.send(BUSY)
            sock.close()
            return
        arrival.spare = place is Place.SPARE
        self.arrivals.add(arrival)
        self.port.rounds.add(arrival)
