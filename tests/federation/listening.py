"""The listener of a simulated realm or relay, on a port of 127.0.0.1."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve


class Listening:
    """Listens on a free port until the end of the block."""

    def __init__(self) -> None:
        self.port = 0
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
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

    async def _connected(self, socket: ServerConnection) -> None:
        """Handle one connection; it ends with this coroutine."""
        raise NotImplementedError
