"""A man in the middle of two realms, who forwards frames as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.federation.listening import Listening

Mangle = Callable[[str], list[str]]


class Relay(Listening):
    """Listens on a port of 127.0.0.1 and forwards to the realm at another port."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.target = target
        self.mangle: Mangle = lambda frame: [frame]
        """Returns the frames to forward for a frame after the handshake, in either direction."""
        self.seen: list[str] = []

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
