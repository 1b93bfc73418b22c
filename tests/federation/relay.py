"""Somebody between two realms who sees every frame and passes it on as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Mangle = Callable[[str], list[str]]


class Relay:
    """Listens on a port of 127.0.0.1 and speaks for the realm at another one."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.mangle: Mangle = lambda frame: [frame]
        """What is passed on of a frame after the handshake, either way."""
        self.seen: list[str] = []
        self._server: Server | None = None

    async def __aenter__(self) -> Relay:
        self._server = await serve(self._connected, "127.0.0.1", 0, compression=None)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _connected(self, dialler: ServerConnection) -> None:
        async with connect(
            f"ws://127.0.0.1:{self.target}", proxy=None, compression=None
        ) as listener:
            ways = [
                asyncio.create_task(self._carry(dialler, listener)),
                asyncio.create_task(self._carry(listener, dialler)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            await dialler.close()

    async def _carry(self, source: Connection, sink: Connection) -> None:
        try:
            while True:
                frame = str(await source.recv())
                self.seen.append(frame)
                in_handshake = frame.startswith("{")
                for passed in [frame] if in_handshake else self.mangle(frame):
                    await sink.send(passed)
        except ConnectionClosed:
            pass
