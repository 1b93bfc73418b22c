"""Files sent and fetched by clients of a real server, and the people who do it."""

from __future__ import annotations

import base64
import hashlib
import random
from itertools import count
from typing import Any

from tests.rawclient import RawClient
from tests.realserver import RealServer

KIB, MIB = 2**10, 2**20
PUSHED = 8 * MIB
NUMBERS = count(1)


async def people(server: RealServer, how_many: int = 2) -> list[RawClient]:
    """Sign in new people; `name(client)` is what they are called."""
    return [
        await RawClient.signed_in(server.url, f"person{next(NUMBERS)}") for _ in range(how_many)
    ]


async def name(client: RawClient) -> str:
    return str((await client.ask("whoami"))["user"])


def noise(size: int) -> bytes:
    """Return content that no other call returns."""
    return random.Random(next(NUMBERS)).randbytes(size)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def announced(to: str, content: bytes, file_name: str = "x.bin") -> dict[str, Any]:
    """Return the arguments that announce this content."""
    return {
        "to": to,
        "name": file_name,
        "size": len(content),
        "sha256": sha256_of(content),
    }


async def go_on(
    client: RawClient, what: dict[str, Any], content: bytes, until: int | None = None
) -> dict[str, Any]:
    """Begin or resume an upload, send chunks up to `until`, and return the last reply."""
    opened = reply = await client.ask("upload", **what)
    offset = opened["offset"]
    while offset < (len(content) if until is None else until):
        piece = content[offset : offset + opened["chunk"]]
        reply = await client.ask(
            "chunk", upload=opened["upload"], offset=offset, data=encoded(piece)
        )
        offset += len(piece)
        assert reply["offset"] == offset
    return reply


async def received(client: RawClient, file: dict[str, Any], offset: int = 0) -> bytes:
    """Collect a file's pieces; they follow each other, and only the last says so."""
    content = b""
    while True:
        piece = await client.event("file")
        assert (piece["file"], piece["offset"]) == (file["id"], offset + len(content))
        content += base64.b64decode(piece["data"])
        assert piece["last"] == (offset + len(content) == file["size"])
        if piece["last"]:
            return content


async def end(*clients: RawClient) -> None:
    for client in clients:
        await client.close()
