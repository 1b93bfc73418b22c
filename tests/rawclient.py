"""A client as thin as a terminal: frames out, replies and events in."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

LIMIT = 20.0
"""Seconds to wait for any frame; generous, as test machines are busy."""


class RawClient:
    """One connection in the JSON dialect; events are kept until asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: deque[dict[str, Any]] = deque()
        self._count = 0

    @classmethod
    async def open(cls, url: str) -> RawClient:
        return cls(await connect(url, proxy=None, compression=None, max_size=None))

    @classmethod
    async def signed_in(cls, url: str, name: str, *, register: bool = True) -> RawClient:
        """Connect, register if need be, and sign in as `name` with the password `secret-NAME`."""
        client = await cls.open(url)
        password = f"secret-{name}"
        if register:
            await client.ask(
                "register", user=name, real_name=name, password=password, country="Indonesia"
            )
        await client.ask("auth", user=name, password=password)
        return client

    async def send(self, command: str, **arguments: Any) -> str:
        """Send a command without waiting and return its label."""
        self._count += 1
        label = str(self._count)
        body = {"command": command, "id": label, **arguments}
        await self.socket.send(orjson.dumps(body).decode())
        return label

    async def frame(self) -> dict[str, Any]:
        """Return the next frame, reply or event."""
        async with asyncio.timeout(LIMIT):
            return dict(orjson.loads(await self.socket.recv()))

    async def reply(self) -> dict[str, Any]:
        """Return the next reply; events before it are kept."""
        while "event" in (frame := await self.frame()):
            self.events.append(frame)
        return frame

    async def say(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its reply, whatever it says."""
        label = await self.send(command, **arguments)
        reply = await self.reply()
        assert reply["id"] == label
        return reply

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its reply, which must be OK."""
        reply = await self.say(command, **arguments)
        assert reply["status"] == "OK", reply
        return reply

    async def event(self, kind: str | None = None) -> dict[str, Any]:
        """Return the next event (of a kind); others are dropped."""
        while True:
            event = self.events.popleft() if self.events else await self.frame()
            assert "event" in event, event
            if kind in (None, event["event"]):
                return event

    async def settled(self) -> list[dict[str, Any]]:
        """Return all events the server had for us before it answered a ping."""
        await self.ask("ping")
        events = list(self.events)
        self.events.clear()
        return events

    async def close(self) -> None:
        await self.socket.close()
