"""The reconnecting connection: made when it is needed, and again when it breaks."""

from __future__ import annotations

import asyncio
from typing import Protocol

from shared.client.backoff import Backoff
from shared.client.connection import ClientWebSocket, ServerUnreachable, Way, open_connection

STABLE_SECONDS = 5.0
"""Seconds after which a connection counts as stable, and the backoff is reset."""


class ConnectionOwner(Protocol):
    """The owner of the connection."""

    @property
    def needs_link(self) -> bool:
        """Whether there is a session to keep, or something to send."""

    @property
    def urgent(self) -> bool:
        """Whether a short command waits for its answer."""

    def receive(self, frame: bytes) -> None:
        """Handle a frame."""

    def pump(self) -> None:
        """Send waiting calls; there is room again."""

    async def opened(self, connection: ClientWebSocket) -> float:
        """Sign in again; return the seconds to wait if the server refused temporarily."""

    def broken(self, reason: str) -> None:
        """Handle the end of the connection, before anything else happens."""

    def is_over(self, code: int, reason: str) -> bool:
        """Whether this close code forbids the client to reconnect."""

    def resting(self, reason: str, delay: float) -> None:
        """Note that there is no connection; the next attempt is in `delay` seconds."""


class ClientLink:
    """Keeps a connection for its owner as long as `run` runs."""

    def __init__(self, way: Way, backoff: Backoff, owner: ConnectionOwner) -> None:
        self._way = way
        self._backoff = backoff
        self._owner = owner
        self._wanted = asyncio.Event()
        self.connection: ClientWebSocket | None = None

    def want(self) -> None:
        """Request a connection for the owner."""
        self._wanted.set()

    async def run(self) -> None:
        """Keep a connection while the owner needs one."""
        loop = asyncio.get_running_loop()
        while True:
            self._wanted.clear()
            if not self._owner.needs_link:
                await self._wanted.wait()
                continue
            try:
                connection = await open_connection(self._way)
            except ServerUnreachable as why:
                await self._rest(str(why))
                continue
            since = loop.time()
            code, reason, least = await self._serve(connection)
            if loop.time() - since > STABLE_SECONDS:
                self._backoff.reset()
            if not self._owner.is_over(code, reason) and self._owner.needs_link:
                await self._rest(reason if code == 1006 else f"{reason} ({code})", least)

    async def _rest(self, reason: str, least: float = 0.0) -> None:
        delay = self._backoff.next(least)
        self._owner.resting(reason, delay)
        await asyncio.sleep(delay)

    async def _serve(self, connection: ClientWebSocket) -> tuple[int, str, float]:
        """Use a connection until it ends; return the close code, the reason and the seconds to
        wait."""
        ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        def end(code: int, reason: str) -> None:
            self.connection = None
            self._owner.broken(reason)
            if not ended.done():
                ended.set_result((code, reason))

        self.connection = connection
        connection.on_frame, connection.on_end = self._owner.receive, end
        connection.on_room = self._owner.pump
        connection.urgent = lambda: self._owner.urgent
        connection.start()
        try:
            least = await self._owner.opened(connection)
            code, reason = await ended
        finally:
            connection.end(1000, "the client was closed")
            await connection.gone()
        return code, reason, least
