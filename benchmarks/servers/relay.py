"""The plain relay as a server of the comparison."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import ClassVar

from benchmarks.servers.server import JOINS_AT_ONCE, Client, Server
from benchmarks.waiting import each
from benchmarks.websocket import connect

PROGRAM = Path(__file__).with_name("plain_relay.py")


class RelayClient(Client):
    def on_text(self, payload: bytes) -> None:
        if payload.startswith(b'{"type":"message"'):
            start = payload.rfind(b'"text":"') + 8
            self.on_message(payload[start : payload.find(b'"', start)])

    def send(self, to: int, text: str) -> None:
        self.connection.send(f'{{"type":"send","to":"u{to}","text":"{text}"}}')

    def send_group(self, text: str) -> None:
        self.connection.send(f'{{"type":"send_group","group":"room","text":"{text}"}}')


class Relay(Server):
    name: ClassVar[str] = "relay"
    stores: ClassVar[str] = "nothing"
    synced: ClassVar[bool] = False

    @classmethod
    def version(cls) -> str:
        libraries = " ".join(f"{name} {version(name)}," for name in ("websockets", "orjson"))
        return f"{libraries} Python {python_version()}"

    def command(self) -> Sequence[str]:
        # By its path, so that no module of ours is loaded and counted as its memory.
        return [sys.executable, "-P", str(PROGRAM), str(self.port)]

    async def register(self, count: int) -> None:
        """Do nothing: a sign-in registers."""

    async def sign_in(self, user: int) -> Client:
        client = RelayClient(user, await connect(self.port))
        hello = f'{{"user":"u{user}","password":"secret{user}"}}'
        await client.connection.ask(hello, b'"welcome"')
        return client

    async def open_group(self, clients: Sequence[Client]) -> None:
        async def join(client: Client) -> None:
            await client.connection.ask('{"type":"join","group":"room"}', b'"joined"')

        await each(join, clients, JOINS_AT_ONCE)
