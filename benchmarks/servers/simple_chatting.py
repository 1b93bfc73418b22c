"""Our own server as people run it, but without rate limits."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Sequence
from platform import python_version
from typing import ClassVar

from benchmarks.processes import Cores
from benchmarks.servers.postgresql import Cluster
from benchmarks.servers.server import ROOT, Client, Server
from benchmarks.websocket import Connection, connect

PASSWORD = "secret-password"
REFUSAL = b'{"status":"ERROR"'
TEXTS = "SELECT text FROM messages"


class SimpleChattingClient(Client):
    """Speaks the JSON dialect."""

    def on_text(self, payload: bytes) -> None:
        if payload.startswith(b'{"event":"message"'):
            start = payload.find(b'"text":"') + 8
            self.on_message(payload[start : payload.find(b'"', start)])
        elif payload.startswith(REFUSAL):
            self.connection.broken = payload.decode()

    def send(self, to: int, text: str) -> None:
        self.connection.send(f'{{"command":"send","to":"u{to}","text":"{text}"}}')

    def send_group(self, text: str) -> None:
        self.connection.send(f'{{"command":"sendg","group":"1","text":"{text}"}}')


class SimpleChatting(Server):
    name: ClassVar[str] = "simple-chatting"
    stores: ClassVar[str] = (
        "each message once, in SQLite (WAL, synchronous=FULL); commits are shared by what arrives "
        "together, and come before the reply and the push"
    )
    synced: ClassVar[bool] = True
    copies: ClassVar[int] = 1
    echoes_groups: ClassVar[bool] = False

    @classmethod
    def version(cls) -> str:
        return f"this one, SQLite {sqlite3.sqlite_version}, Python {python_version()}"

    def database(self) -> Sequence[str]:
        return []

    def command(self) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "ws_server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--data", str(self.folder / "data"), "--realm", "bench", "--rate-limits", "off"),
            *("--web-port", "off"),
            *self.database(),
        ]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    async def register(self, count: int) -> None:
        connection = await connect(self.port)
        for user in range(count):
            if user == 1:
                # Who does not sign in is put out after two minutes; many registrations take longer.
                await authenticate(connection, 0)
            words = f'{{"command":"register","user":"u{user}","real_name":"U",'
            words += f'"password":"{PASSWORD}","country":"X"}}'
            await connection.ask(words, b'{"status":"OK"', REFUSAL)
        await connection.close()

    async def sign_in(self, user: int) -> Client:
        client = SimpleChattingClient(user, await connect(self.port))
        await authenticate(client.connection, user)
        return client

    async def open_group(self, clients: Sequence[Client]) -> None:
        owner, *others = clients
        words = '{"command":"creategroup","name":"room"}'
        await owner.connection.ask(words, b'"group":"#1"', REFUSAL)
        for client in others:
            await invite(owner.connection, client.user)

    async def stored(self) -> Iterable[str]:
        database = sqlite3.connect(self.folder / "data" / "chat.db")
        try:
            return [text for (text,) in database.execute(TEXTS)]
        finally:
            database.close()


async def authenticate(connection: Connection, user: int) -> None:
    words = f'{{"command":"auth","user":"u{user}","password":"{PASSWORD}"}}'
    await connection.ask(words, b'"token"', REFUSAL)


async def invite(owner: Connection, user: int) -> None:
    words = f'{{"command":"invitegroup","id":"{user}","group":"1","user":"u{user}"}}'
    await owner.ask(words, f'"id":"{user}"'.encode(), REFUSAL)


class SimpleChattingPostgresql(SimpleChatting):
    """With a PostgreSQL of its own, on the server's core; both count as the server."""

    name: ClassVar[str] = "simple-chatting-postgresql"
    stores: ClassVar[str] = SimpleChatting.stores.replace(
        "SQLite (WAL, synchronous=FULL)", "PostgreSQL (all defaults: fsync and synchronous_commit)"
    )
    packages: ClassVar[tuple[str, ...]] = ("postgresql",)

    def __init__(self, cores: Cores) -> None:
        super().__init__(cores)
        self.cluster = Cluster(self, "chat")

    @classmethod
    def version(cls) -> str:
        return f"this one, {Cluster.version()}, Python {python_version()}"

    async def prepare(self) -> None:
        await self.cluster.start()

    def database(self) -> Sequence[str]:
        return ["--database", f"postgresql+asyncpg://{self.cluster.address}"]

    async def stored(self) -> Iterable[str]:
        return self.cluster.query(TEXTS)
