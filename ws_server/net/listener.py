"""The listener: WebSockets, health checks and metrics over HTTP, timeouts and keep-alive."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from itertools import count, cycle, takewhile
from pathlib import Path
from socket import AF_UNIX

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response
from websockets.protocol import State

from shared.settings import Network, client_address, is_address, is_trusted
from shared.sockets import BACKLOG, bind_unix, listen
from ws_server.net.acceptor import HANDSHAKE_SECONDS, Acceptor
from ws_server.net.budgets import Budgets
from ws_server.net.connection import Connection
from ws_server.net.origin_policy import Browsers
from ws_server.net.port import FrameGate, Port
from ws_server.net.session import Session

log = logging.getLogger(__name__)

SIGN_IN_TIMEOUT = 120.0
"""Seconds for a connection to sign in; then it is closed with 4500."""
LAST_COMMANDS = 1.0
"""Seconds to execute the commands already received when the server stops."""
PING_INTERVAL = 20.0
"""Seconds between two pings of a connection; proxies close idle ones after 30 or more."""
SPARE_SECONDS = 1.0
"""Seconds after which a connection in a reserved place is aborted."""
HSTS = "max-age=31536000"
HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
"""A Host header that is safe to repeat in a response: a name or an address, and a port."""
FORWARDING = re.compile(
    "x-forwarded-.*|forwarded|via|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip",
    re.IGNORECASE,
)
"""Headers that proxies and tunnels add to a client's request."""
NO_METRICS = "Metrics are for the machines in --metrics-from, by default this one alone.\n"
SLOTS = 20
"""Parts of a PING_INTERVAL; each connection is pinged in its own part, to spread the load."""


class Listener:
    """The server's listening sockets, and the life of each connection to them."""

    def __init__(
        self,
        gate: FrameGate,
        *,
        ready: Callable[[], Awaitable[str]],
        metrics: Callable[[], bytes],
        browsers: Browsers,
        budgets: Budgets,
        trusted_proxies: Sequence[Network],
        scrapers: Sequence[Network],
    ) -> None:
        """Start without a socket.

        Args:
            ready: Returns why the realm is not ready; empty if it is.
            scrapers: The networks that may read the metrics and that reason.
        """
        self._gate = gate
        self.budgets = budgets
        self._port = Port(gate, budgets, trusted_proxies, self._handle)
        self._ready = ready
        self._metrics = metrics
        self._scrapers = scrapers
        self._browsers = browsers
        self._acceptor = Acceptor(self._port)
        self.connections = self._acceptor.connections
        """Every TCP connection, those in their handshake included."""
        self.closed = self._port.closed
        """The number of ended WebSockets, by the label of `Connection.ended_by`."""
        self.web_port: int | None = None
        """The port of the web app; None if there is none."""
        self._has_tls = False
        self._strangers: dict[Connection, float] = {}
        self._slots: list[set[Connection]] = [set() for _ in range(SLOTS)]
        self._next_slot = 0
        self._arrivals = count()
        self._ticking: asyncio.Task[None] | None = None

    @property
    def websockets(self) -> int:
        """The number of WebSockets."""
        return sum(connection.session is not None for connection in self.connections)

    def open(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None) -> int:
        """Listen on all hosts and return the port; if `port` is 0, the system chooses it.

        Raises:
            OSError: no host could be bound, or the port is in use.
        """
        sockets = listen(hosts, port, tries=0)
        self._has_tls = tls is not None
        for listening in sockets:
            self._acceptor.open(listening, tls)
        self._ticking = asyncio.create_task(self._tick())
        return int(sockets[0].getsockname()[1])

    def open_socket(self, path: Path) -> None:
        """Listen on a Unix socket, for programs of this system account that act for clients.

        Raises:
            OSError: the socket cannot be created.
        """
        listening = bind_unix(path)
        listening.listen(BACKLOG)
        self._acceptor.open(listening)

    async def close(self) -> None:
        """Execute received commands, then close WebSockets with 1001 and abort the others."""
        if self._ticking is not None:
            self._ticking.cancel()
        self._acceptor.close()
        for connection in [c for c in self.connections if c.is_busy]:
            connection.hear_no_more()
        await self._gate.settled(LAST_COMMANDS)
        for connection in list(self.connections):
            connection.go_away()
        if self._port.handler_tasks:
            await asyncio.wait(self._port.handler_tasks)

    async def _handle(self, connection: ServerConnection) -> None:
        """Run for the life of a TCP connection, whether or not it becomes a WebSocket."""
        assert isinstance(connection, Connection)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await connection.handshake(self._http, self._secure, None)
            if connection.protocol.state is State.OPEN:
                await self._serve(connection)
        except (TimeoutError, WebSocketException, OSError):
            pass  # not a WebSocket, timed out, or disconnected
        except Exception:
            log.exception("a connection failed")
        finally:
            connection.transport.abort()
            task = asyncio.current_task()
            assert task is not None
            self._port.handler_tasks.discard(task)

    async def _serve(self, connection: Connection) -> None:
        """Run for the life of a WebSocket; the connection passes its frames to the gate."""
        assert connection.request is not None
        is_forwarded = any(map(FORWARDING.fullmatch, connection.request.headers))
        session = Session(connection, self._address(connection), is_forwarded=is_forwarded)
        connection.begin(session)
        self._strangers[connection] = connection.loop.time() + SIGN_IN_TIMEOUT
        # The first ping is half an interval away or more; simultaneous arrivals are spread.
        away = SLOTS // 2 + next(self._arrivals) % (SLOTS // 2)
        slot = self._slots[(self._next_slot + away) % SLOTS]
        slot.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._strangers.pop(connection, None)
            slot.discard(connection)

    def _address(self, connection: ServerConnection) -> str:
        """Return the client's address for limits: the peer's, or the one from a trusted proxy."""
        assert connection.request is not None
        forwarded = connection.request.headers.get_all("X-Forwarded-For")
        socket = connection.transport.get_extra_info("socket")
        if socket.family == AF_UNIX:
            # Only the realm's system account can open the socket, so its header is trusted.
            return forwarded[0] if len(forwarded) == 1 and is_address(forwarded[0]) else ""
        peer = str((connection.remote_address or ("",))[0])
        return client_address(peer, forwarded, self._port.trusted)

    async def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Connection)
        if not connection.move(self.budgets.of(self._address(connection))):
            return self._too_many(connection)
        if connection.spare:
            connection.loop.call_later(SPARE_SECONDS, connection.transport.abort)
        # Do not parse the path as a URL: a proxy that blocks /metrics passes //x/metrics, so that
        # must be another path here, too.
        path = request.path.partition("?")[0]
        refusal = self._browsers.refusal(path, request.headers)
        if refusal is not None:
            self.budgets.refused["page"] += 1
            return connection.respond(*refusal)
        if "websocket" in (name.lower() for name in request.headers.get_all("Upgrade")):
            return self._too_many(connection) if connection.spare else None
        if path == "/healthz":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path == "/readyz":
            if why := await self._ready():
                reason = f": {why}" if self._may_scrape(connection) else ""
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready{reason}\n")
            return connection.respond(HTTPStatus.OK, "ready\n")
        if path == "/metrics":
            if not self._may_scrape(connection):
                return connection.respond(HTTPStatus.FORBIDDEN, NO_METRICS)
            response = connection.respond(HTTPStatus.OK, self._metrics().decode())
            # Assigning to a header appends a second one, so delete the first.
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
            return response
        return connection.respond(HTTPStatus.UPGRADE_REQUIRED, self._guide(request.headers))

    def _may_scrape(self, connection: ServerConnection) -> bool:
        """Return whether the client may see how the server is doing."""
        assert connection.request is not None
        peer = str((connection.remote_address or ("",))[0])
        address = self._address(connection)
        proxied = any(map(FORWARDING.fullmatch, connection.request.headers))
        if proxied and address == peer:
            return False  # a proxy, perhaps on this machine, that does not say for whom
        return is_trusted(address, self._scrapers)

    def _guide(self, headers: Headers) -> str:
        """Return the explanation for a plain HTTP request to this port."""
        sentence = "This is a chat server. Connect with a WebSocket client, such as wscat"
        if self.web_port is None:
            return f"{sentence}.\n"
        # The web app is reachable under the same host name as this port.
        found = HOST.fullmatch(", ".join(headers.get_all("Host")))
        host = found[1] if found else "localhost"
        scheme = "https" if self._has_tls else "http"
        return f"{sentence}, or open {scheme}://{host}:{self.web_port}/ in a browser.\n"

    def _too_many(self, connection: Connection) -> Response:
        response = connection.respond(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many connections, from your address or in total; close some, or wait.\n",
        )
        response.headers["Retry-After"] = "10"
        return response

    def _secure(self, connection: ServerConnection, request: Request, response: Response) -> None:
        """Add the HSTS header (RFC 6797) to a response over TLS."""
        if self._has_tls and connection.transport.get_extra_info("ssl_object") is not None:
            response.headers["Strict-Transport-Security"] = HSTS

    async def _tick(self) -> None:
        """Ping each connection once a PING_INTERVAL; close those that did not sign in in time."""
        loop = asyncio.get_running_loop()
        for self._next_slot in cycle(range(SLOTS)):
            await asyncio.sleep(PING_INTERVAL / SLOTS)
            for connection in tuple(self._slots[self._next_slot]):
                connection.beat()
            late = takewhile(lambda item: item[1] <= loop.time(), self._strangers.items())
            for connection, _ in list(late):
                del self._strangers[connection]
                session = connection.session
                if session is not None and not session.has_ended and not session.known:
                    connection.close_with(4500, f"not signed in within {SIGN_IN_TIMEOUT:.0f} s")
