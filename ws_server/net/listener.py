"""The port: WebSockets, health and metrics over HTTP, deadlines and keep-alive."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from itertools import count, cycle, takewhile
from pathlib import Path
from socket import AF_UNIX
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State

from shared.protocol.values import MAX_FRAME
from shared.settings import Network, client_address, is_address
from shared.sockets import BACKLOG, bind_unix
from ws_server.gate import Gate
from ws_server.net.connection import CLOSE_TIMEOUT, Connection, connection_factory
from ws_server.net.session import Session
from ws_server.net.writing import Writer

log = logging.getLogger(__name__)

SIGN_IN_TIMEOUT = 120.0
"""Seconds in which a connection must sign in (4500)."""
HANDSHAKE_TIMEOUT = 10.0
LAST_COMMANDS = 1.0
"""Seconds in which commands that have come are carried out when the server stops."""
PING_INTERVAL = 20.0
"""Seconds between two pings of a connection; proxies cut idle ones after 30 or more."""
HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
"""A Host header that can be said again: a name or an address, and a port."""
SLOTS = 20
"""Parts of a PING_INTERVAL; each connection keeps its own, so they are not all pinged at once."""


class Listener:
    """Everything that accepts connections."""

    def __init__(
        self,
        gate: Gate,
        *,
        ready: Callable[[], Awaitable[bool]],
        metrics: Callable[[], bytes],
        origins: Sequence[str],
        trusted_proxies: Sequence[Network],
    ) -> None:
        self.gate = gate
        self.writer = Writer(asyncio.get_running_loop())
        self._ready = ready
        self._metrics = metrics
        self._origins = [origin.rstrip("/") for origin in origins]
        self._trusted = trusted_proxies
        self._servers: list[Server] = []
        self.connections: set[Connection] = set()
        """Every TCP connection, those still in their handshake included."""
        self.web_port: int | None = None
        """Where browsers find the web app, if there is one."""
        self._has_tls = False
        self.closed: Counter[str] = Counter()
        """How many WebSockets ended, by who ended them; see `Connection.ended_by`."""
        self._strangers: dict[Connection, float] = {}
        self._slots: list[set[Connection]] = [set() for _ in range(SLOTS)]
        self._next_slot = 0
        self._arrivals = count()
        self._ticking: asyncio.Task[None] | None = None

    @property
    def websockets(self) -> int:
        """How many WebSockets are open."""
        return sum(connection.session is not None for connection in self.connections)

    async def open(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None) -> int:
        """Listen on all hosts and return the port (the one chosen, if `port` is 0).

        Raises:
            OSError: no host could be bound, or the port is taken.
        """
        bound, self._has_tls = port, tls is not None
        for host in hosts:
            try:
                server = await serve(self._serve, host, bound, ssl=tls, **self._options())
            except OSError as error:
                # A machine without IPv6 has no ::1; one address is enough to serve localhost.
                if self._servers and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue
                await self.close()
                raise
            self._servers.append(server)
            bound = server.sockets[0].getsockname()[1]
        self._ticking = asyncio.create_task(self._tick())
        return bound

    async def open_socket(self, path: Path) -> None:
        """Listen on a Unix socket too, for programs of this account that speak for others.

        Raises:
            OSError: the folder takes no socket.
        """
        self._servers.append(await unix_serve(self._serve, sock=bind_unix(path), **self._options()))

    def _options(self) -> dict[str, Any]:
        return {
            "compression": None,
            "process_request": self._http,
            "server_header": None,
            "open_timeout": HANDSHAKE_TIMEOUT,
            "ping_interval": None,
            "close_timeout": CLOSE_TIMEOUT,
            "max_size": MAX_FRAME,
            "create_connection": connection_factory(self),
            "backlog": BACKLOG,
        }

    async def close(self) -> None:
        """Carry out what has come, then close all connections with 1001 or cut them off."""
        if self._ticking is not None:
            self._ticking.cancel()
        for connection in [c for c in self.connections if c.is_busy]:
            connection.hear_no_more()
        await self.gate.settled(LAST_COMMANDS)
        for server in self._servers:
            server.close(code=1001, reason="the server goes away")
        for connection in list(self.connections):
            if connection.protocol.state is State.CONNECTING:
                connection.transport.abort()
        for server in self._servers:
            await server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        """Live as long as the connection; its frames go to the gate by themselves."""
        assert isinstance(connection, Connection)
        assert connection.request is not None
        connection.begin(Session(connection, self._address(connection)))
        self._strangers[connection] = connection.loop.time() + SIGN_IN_TIMEOUT
        # Half an interval away at least, and those who come together apart from each other.
        away = SLOTS // 2 + next(self._arrivals) % (SLOTS // 2)
        slot = self._slots[(self._next_slot + away) % SLOTS]
        slot.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._strangers.pop(connection, None)
            slot.discard(connection)

    def _address(self, connection: ServerConnection) -> str:
        """Return whom the limits count: the peer, or who a trusted proxy says it speaks for."""
        assert connection.request is not None
        forwarded = connection.request.headers.get_all("X-Forwarded-For")
        socket = connection.transport.get_extra_info("socket")
        if socket.family == AF_UNIX:
            # Only the realm's own account can open it, so what it says of others is believed.
            return forwarded[0] if len(forwarded) == 1 and is_address(forwarded[0]) else ""
        peer = str((connection.remote_address or ("",))[0])
        return client_address(peer, forwarded, self._trusted)

    async def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        # Not parsed as a URL: a proxy that keeps /metrics from the public sees another path in
        # //x/metrics, so it is another one here too.
        path = request.path.partition("?")[0]
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if not self._origin_allowed(request.headers):
                return connection.respond(
                    HTTPStatus.FORBIDDEN, "This origin is not in --origins.\n"
                )
            return None
        if path == "/healthz":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path == "/readyz":
            if await self._ready():
                return connection.respond(HTTPStatus.OK, "ready\n")
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer\n")
        if path == "/metrics":
            response = connection.respond(HTTPStatus.OK, self._metrics().decode())
            # Setting a header adds one more of its name.
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
            return response
        return connection.respond(HTTPStatus.UPGRADE_REQUIRED, self._guide(request.headers))

    def _guide(self, headers: Headers) -> str:
        """Say what this port is to somebody who came without a WebSocket."""
        sentence = "This is a chat server. Connect with a WebSocket client, such as wscat"
        if self.web_port is None:
            return f"{sentence}.\n"
        # The name under which they came here leads to the web app too.
        found = HOST.fullmatch(", ".join(headers.get_all("Host")))
        host = found[1] if found else "localhost"
        scheme = "https" if self._has_tls else "http"
        return f"{sentence}, or open {scheme}://{host}:{self.web_port}/ in a browser.\n"

    def _origin_allowed(self, headers: Headers) -> bool:
        """Judge a browser's Origin; programs send none."""
        origin = headers.get("Origin")
        return origin is None or not self._origins or origin.rstrip("/") in self._origins

    async def _tick(self) -> None:
        """Ping everybody once a PING_INTERVAL, spread evenly; close who did not sign in."""
        loop = asyncio.get_running_loop()
        for self._next_slot in cycle(range(SLOTS)):
            await asyncio.sleep(PING_INTERVAL / SLOTS)
            for connection in tuple(self._slots[self._next_slot]):
                connection.beat()
            late = takewhile(lambda item: item[1] <= loop.time(), self._strangers.items())
            for connection, _ in list(late):
                del self._strangers[connection]
                session = connection.session
                if session is not None and session.open and not session.known:
                    connection.close_with(4500, f"not signed in within {SIGN_IN_TIMEOUT:.0f} s")
