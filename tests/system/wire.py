"""A WebSocket down to its bytes: frames no library sends, and peers no library plays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from typing import Any

import orjson

MIB = 2**20
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GONE = (OSError, EOFError, asyncio.IncompleteReadError)


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """Return one client frame; the mask is zero, so the payload stays readable."""
    first = bytes((opcode | (0x80 if fin else 0),))
    bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        head = bytes((bit | size,))
    elif size < 65_536:
        head = bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        head = bytes((bit | 127,)) + size.to_bytes(8, "big")
    return first + head + (bytes(4) if masked else b"") + payload


def say(command: str, **arguments: Any) -> bytes:
    """Return the frame of a command in the JSON dialect."""
    return frame(TEXT, orjson.dumps({"command": command, **arguments}))


class Wire:
    """A WebSocket down to its bytes, that does nothing by itself: no pong, no reading."""

    opened: list[Wire] = []
    """Those of the running test, which drops them at its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, small: bool = False) -> Wire:
        """Connect; `small` gives the system little room for what is not read."""
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2048 if small else MIB)
        wire = cls(reader, writer)
        cls.opened.append(wire)
        return wire

    @classmethod
    async def open(cls, port: int, *, small: bool = False) -> Wire:
        """Connect and do the opening handshake."""
        wire = await cls.connect(port, small=small)
        wire.writer.write(HANDSHAKE)
        answer = await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 20)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return wire

    @classmethod
    async def signed_in(cls, port: int, name: str, *, small: bool = False) -> Wire:
        wire = await cls.open(port, small=small)
        wire.writer.write(say("auth", user=name, password=f"secret-{name}"))
        assert (await wire.reply())["status"] == "OK"
        return wire

    async def next(self, limit: float = 20) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload."""
        async with asyncio.timeout(limit):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 15, await self.reader.readexactly(size)

    async def reply(self) -> dict[str, Any]:
        """Return the next text frame that is no event."""
        while True:
            opcode, payload = await self.next()
            if opcode == TEXT and "event" not in (body := orjson.loads(payload)):
                return dict(body)

    async def close_code(self, limit: float = 20) -> int | None:
        """Read up to the end and return the close code; None if it was cut without one."""
        try:
            async with asyncio.timeout(limit):
                while True:
                    opcode, payload = await self.next(limit)
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2], "big")
        except GONE:
            return None

    async def cut_within(self, limit: float) -> float:
        """Read until the server has ended the TCP connection; return after how many seconds."""
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(limit):
                while await self.reader.read(65_536):
                    pass
        taken = time.monotonic() - begun
        assert taken < limit, "the connection still lives"
        return taken

    def drop(self) -> None:
        self.writer.transport.abort()
