"""A WebSocket that this realm dialled: the client side of a link, as an `Outlet`."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import deque
from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from shared.protocol.values import MAX_FRAME
from ws_server.federation.handshake.dial_policy import Unreachable, dial

MAX_UNSENT_BYTES = 4 * 2**20
"""Bytes that may wait to be sent; beyond, the link is closed and dialled again."""
CLOSE_TIMEOUT = 2.0


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the system's certificate authorities; cached, because reading them is slow."""
    return ssl.create_default_context()


class Dialled:
    """One WebSocket to another realm."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._out: deque[bytes] = deque()
        self._size = 0
        self._ready = asyncio.Event()
        self._roomy = asyncio.Event()
        self._roomy.set()
        self._reading = asyncio.Event()
        self._reading.set()
        self._writing = asyncio.create_task(self._write_out())
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, host: str, port: int, tls: bool, public: bool) -> Dialled:
        """Connect to an address that `dial` has checked, without redirects and proxies.

        Raises:
            Unreachable: no server listens there, or it does not accept a WebSocket.
        """
        opened = await dial(host, port, public)
        shown = f"[{host}]" if ":" in host else host
        try:
            connection = await connect(
                f"{'wss' if tls else 'ws'}://{shown}:{port}/",
                sock=opened,
                ssl=_trusted() if tls else None,
                server_hostname=host if tls else None,
                compression=None,
                max_size=MAX_FRAME,
                open_timeout=None,
                close_timeout=CLOSE_TIMEOUT,
                user_agent_header=None,
            )
        except (OSError, EOFError, ValueError, WebSocketException) as error:
            opened.close()
            raise Unreachable("not a WebSocket server") from error
        except BaseException:
            opened.close()
            raise
        return cls(connection)

    def write(self, payload: bytes) -> None:
        if self._size + len(payload) > MAX_UNSENT_BYTES:
            self.close_with(4000, "too slow")
            return
        self._out.append(payload)
        self._size += len(payload)
        self._ready.set()
        if self.congested:
            self._roomy.clear()

    async def read(self) -> bytes:
        """Return the next text frame.

        Raises:
            Unreachable: the connection has ended.
        """
        try:
            await self._reading.wait()
            frame = await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise Unreachable("the connection ended") from error
        return bytes(frame)

    def close_with(self, code: int, reason: str) -> None:
        self._reading.set()
        self._writing.cancel()
        if self._closing is None:
            self._closing = asyncio.create_task(self._connection.close(code, reason))

    async def closed(self) -> None:
        """Wait until the connection has ended."""
        self.close_with(1000, "")
        assert self._closing is not None
        await asyncio.gather(self._writing, self._closing, return_exceptions=True)

    async def _write_out(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._ready.wait()
                self._ready.clear()
                while self._out:
                    payload = self._out.popleft()
                    await self._connection.send(payload, text=True)
                    self._size -= len(payload)
                    if not self.congested:
                        self._roomy.set()

    def admit(self, known: bool) -> None:
        """Do nothing: budgets count incoming connections only."""

    def pause_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    @property
    def congested(self) -> bool:
        return self._size > MAX_FRAME

    async def room(self) -> None:
        await self._roomy.wait()
