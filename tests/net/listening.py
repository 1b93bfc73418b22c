"""A realm's listener, for tests of its responses."""

from __future__ import annotations

import asyncio

from tests.world import World


def port(world: World) -> int:
    assert world._server is not None
    return world._server.port


def url(world: World, path: str = "/") -> str:
    return f"ws://127.0.0.1:{port(world)}{path}"


async def raw(world: World, request: str) -> tuple[int, dict[str, str], str]:
    """Send a request line with headers, and return status, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port(world))
    writer.write(f"{request}\r\nHost: localhost\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "no header comes twice"
    return int(status.split()[1]), headers, body


UPGRADE = (
    "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
)
