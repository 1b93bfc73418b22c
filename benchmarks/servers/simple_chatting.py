"""This server with its usual settings, but without rate limits."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterable, Mapping, Sequence
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
    """A client of the JSON dialect."""

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
    keeps_places: ClassVar[bool] = True

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
                # The server closes strangers after two minutes; many registrations need longer.
                await authenticate(connection, 0)
            words = f'{{"command":"register","user":"u{user}","real_name":"U",'
            words += f'"password":"{PASSWORD}","country":"X"}}'
            await connection.ask(words, b'{"status":"OK"', REFUSAL)
        await connection.close()

    async def sign_in(self, user: int) -> Client:
        client = SimpleChattingClient(user, await connect(self.port))
        client.token = await authenticate(client.connection, user)
        return client

    async def come_back(self, user: int, token: str, have: Mapping[int, int]) -> Client:
        client = SimpleChattingClient(user, await connect(self.port))
        words = f'{{"command":"resume","token":"{token}"}}'
        await client.connection.ask(words, b'"token"', REFUSAL)
        places = ",".join(f'"u{other}":{seq}' for other, seq in have.items())
        words = f'{{"command":"sync","have":{{{places}}}}}'
        reply = await client.connection.ask(words, b'"recovered":true', REFUSAL)
        client.missed = reply.count(b'"id":"m_')
        return client

    async def read(self, client: Client, upto: Mapping[int, int]) -> None:
        for other, seq in upto.items():
            client.connection.send(f'{{"command":"read","conversation":"u{other}","seq":{seq}}}')
        await client.connection.ask('{"command":"ping"}', b'"command":"ping"', REFUSAL)

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


async def authenticate(connection: Connection, user: int) -> str:
    """Sign in and return the session's token."""
    words = f'{{"command":"auth","user":"u{user}","password":"{PASSWORD}"}}'
    reply = await connection.ask(words, b'"token"', REFUSAL)
    return reply.partition(b'"token":"')[2].partition(b'"')[0].decode()


async def invite(owner: Connection, user: int) -> None:
    words = f'{{"command":"invitegroup","id":"{user}","group":"1","user":"u{user}"}}'
    await owner.ask(words, f'"id":"{user}"'.encode(), REFUSAL)


class SimpleChattingPostgresql(SimpleChatting):
    """With a PostgreSQL on the server's core; both count as the server."""

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
