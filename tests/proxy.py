"""A TCP proxy that misbehaves on request: a bad network between a client and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Any

STEP = 64 * 1024
"""Bytes taken at a time."""
MAX_DELAYED = 256
"""Pieces that may be on their way in one direction; then no more is read."""


class Proxy:
    """Forwards connections to a port of 127.0.0.1; use it as `async with Proxy(port) as proxy`.

    `delay` and `black_hole` may be set at any time and hold for both directions of all
    connections, those that exist included.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay = 0.0
        """Seconds that everything is on its way."""
        self.black_hole = False
        """Nothing arrives any more, and nobody is told: connections are half-open."""
        self.doubled = False
        self._connecting: set[asyncio.Task[Any]] = set()
        """Of each new connection a second one is made, which gets the same and answers nobody."""
        self._doubles: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self.count = 0
        """Connections taken until now."""
        self._allowed: dict[bool, int | None] = {True: None, False: None}
        """Bytes that may still pass to the server, and from it; None: all."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        await self.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.refuse()
        if self._connecting:
            # Or what they open is closed by nobody.
            await asyncio.wait(self._connecting)
        self.cut()
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def accept(self) -> None:
        """Take new connections (again), on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections; those that exist go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    def cut(self) -> None:
        """Reset all connections at once."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                # Lingering for no time makes the system send a reset.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()

    def cut_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """Let so many more bytes pass to the server or from it, and then cut; once."""
        self._allowed = {True: up, False: down}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self._writers.add(writer)
        connecting = asyncio.current_task()
        assert connecting is not None
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(back)
        if self.doubled:
            await self._double(back)
        for source, sink, up in ((reader, back, True), (there, writer, False)):
            task = asyncio.create_task(self._carry(source, sink, up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _double(self, first: asyncio.StreamWriter) -> None:
        """Connect once more, for all that goes to the first connection."""
        with contextlib.suppress(OSError):
            unheard, second = await asyncio.open_connection("127.0.0.1", self.target)
            self._doubles[first] = second
            self._writers.add(second)

            async def ignore() -> None:
                with contextlib.suppress(OSError):
                    while await unheard.read(STEP):
                        pass

            task = asyncio.create_task(ignore())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, up: bool
    ) -> None:
        """Carry one direction of one connection until it ends."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_DELAYED)
        delivering = asyncio.create_task(self._deliver(way, sink, up))
        clock = asyncio.get_running_loop().time
        try:
            with contextlib.suppress(OSError):
                while piece := await source.read(STEP):
                    await way.put((clock() + self.delay, piece))
            await way.put((clock() + self.delay, b""))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])

    async def _deliver(
        self, way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, up: bool
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, piece = await way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if self.black_hole:
                continue
            if (double := self._doubles.get(sink)) is not None:
                double.write(piece)
                if not piece:
                    del self._doubles[sink]
                    self._writers.discard(double)
                    double.close()
            allowed = self._allowed[up]
            if allowed is not None:
                sink.write(piece[:allowed])
                self._allowed[up] = allowed - len(piece)
                if allowed < len(piece):
                    self._allowed = {True: None, False: None}
                    # What was let through has to arrive before the reset.
                    await asyncio.sleep(0.01)
                    self.cut()
            else:
                sink.write(piece)
            if not piece:
                sink.close()
                self._writers.discard(sink)
                return
            with contextlib.suppress(OSError):
                await sink.drain()
