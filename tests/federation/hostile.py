"""A realm that sends arbitrary rows, and functions that build them."""

from __future__ import annotations

import asyncio
import binascii
import resource
from pathlib import Path
from typing import Any

import orjson
from websockets.exceptions import ConnectionClosed

from tests.federation.impostor import Impostor
from tests.realserver import RealServer
from ws_server import key

MIB = 2**20


def key_of(server: RealServer) -> str:
    """Return a realm's public key in the form of rows."""
    own = key.read(server.data)
    assert own is not None
    return binascii.b2a_base64(own.public_key().public_bytes_raw(), newline=False).decode()


def memory(server: RealServer) -> int:
    """Return the bytes of memory that a server uses."""
    pages = Path(f"/proc/{server.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


class Hostile(Impostor):
    """An impostor that numbers its rows and answers questions from a script."""

    number = 0
    pages: list[Any]
    """Its answers to questions for history, in this order; the last one is repeated."""

    @classmethod
    async def ready(cls, server: RealServer, name: str) -> Hostile:
        hostile = await cls.linked(server.url, name)
        assert isinstance(hostile, Hostile)
        own = await hostile.open("log-1")
        hostile.number = own["have"]["number"]
        hostile.pages = []
        return hostile

    async def send(self, *rows: dict[str, Any]) -> dict[str, Any] | None:
        """Send rows and return their ack; None if the link ends without one."""
        items = []
        for row in rows:
            self.number += 1
            items.append({"number": self.number, **row})
        try:
            await self.say(kind="batch", items=items)
            while True:
                body = await self.frame()
                if body["kind"] == "ack":
                    return body
                if body["kind"] == "ask" and self.pages:
                    page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
                    await self.say(kind="answer", id=body["id"], ok={"messages": page})
        except ConnectionClosed:
            assert self.socket.close_code == 4400
            return None

    async def frame(self) -> dict[str, Any]:
        assert self.seal is not None
        async with asyncio.timeout(30):
            frame = await self.socket.recv(decode=False)
        return dict(orjson.loads(self.seal.open(bytes(frame))))


def message(**other: Any) -> dict[str, Any]:
    row = {"kind": "message", "from": "eve", "to": "carol", "id": "e1", "seq": 1, "time": 1}
    return {**row, "text": "hi", **other}


def relayed(group: int, seq: int, **other: Any) -> dict[str, Any]:
    row = {"kind": "group", "group": group, "seq": seq, "id": f"g{group}.{seq}", "time": 1}
    return {**row, "from": {"name": "eve"}, "text": f"{seq}", **other}


def change(group: int, members: list[dict[str, Any]], **other: Any) -> dict[str, Any]:
    row = {"kind": "change", "group": group, "name": "trap", "version": 1, "last_seq": 0}
    return {**row, "members": members, "change": "joined", **other}
