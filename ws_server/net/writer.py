"""Batched writes: each connection sends all its frames of one loop pass in one `write`."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Flushed(Protocol):
    """A connection with frames to write."""

    def flush(self) -> None: ...


def header(size: int) -> bytes:
    """Return the header of an unmasked, unfragmented text frame (RFC 6455, section 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


HEADERS = [header(size) for size in range(1024)]


class Writer:
    """Collects the connections that have frames to write in this pass of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: list[Flushed] = []

    def add(self, connection: Flushed) -> None:
        """Flush a connection at the end of this pass."""
        if not self._ready:
            self._loop.call_soon(self._flush)
        self._ready.append(connection)

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for connection in ready:
            connection.flush()
