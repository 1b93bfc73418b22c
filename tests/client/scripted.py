"""A scripted server, for behaviour that a real one does not show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from shared.client import Backoff, ChatClient
from tests.client.people import Told

Body = dict[str, Any]
Answers = Callable[["Scripted", ServerConnection, dict[str, Any]], Awaitable[None]]

SIGNED_IN = {
    "user": "ana",
    "realm": "alpha",
    "token": "a-token",
    "unread": {},
    "epoch": "e1",
    "protocol": 1,
    "limits": dict.fromkeys(("frame", "text", "whole_file", "file", "user_files", "page"), 1),
}
RESULTS: dict[str, dict[str, Any]] = {
    "auth": SIGNED_IN,
    "resume": SIGNED_IN,
    "listpc": {"conversations": []},
    "listgroup": {"groups": []},
    "sync": {
        "conversations": [],
        "messages": [],
        "more": False,
        "epoch": "e1",
        "recovered": True,
    },
    "ping": {"time": 1},
}


class Scripted:
    """Answers like an idle realm; `script` may answer some commands itself.

    `script` returns True for a command that it has answered.
    """

    def __init__(
        self, script: Callable[[ServerConnection, dict[str, Any]], Awaitable[bool]]
    ) -> None:
        self._script = script
        self._server: Server | None = None
        self.heard: list[dict[str, Any]] = []
        self.connections = 0

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def commands(self, name: str) -> list[dict[str, Any]]:
        return [body for body in self.heard if body["command"] == name]

    async def __aenter__(self) -> Scripted:
        self._server = await serve(self._talk, "127.0.0.1", 0, compression=None)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _talk(self, socket: ServerConnection) -> None:
        self.connections += 1
        with suppress(ConnectionClosed):
            async for frame in socket:
                body = orjson.loads(frame)
                self.heard.append(body)
                if not await self._script(socket, body):
                    await answer(socket, body)


async def answer(socket: ServerConnection, body: dict[str, Any], **more: Any) -> None:
    """Say OK to a command."""
    reply = {"status": "OK", "command": body["command"], "id": body["id"], "message": "Yes"}
    results = RESULTS.get(body["command"], {})
    await socket.send(orjson.dumps({**reply, **results, **more}).decode())


async def nothing_special(socket: ServerConnection, body: dict[str, Any]) -> bool:
    await asyncio.sleep(0)
    return False


def quick(url: str, **options: Any) -> ChatClient:
    return ChatClient(url, backoff=Backoff(0.01, 0.1), **options)


async def signed_in(client: ChatClient) -> Told:
    await client.auth("ana", "secret")
    return Told(client)
