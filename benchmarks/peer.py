"""Simple Chatting as a peer of a side-by-side benchmark: two small classes.

The harness gives `bench.driver` (Client, Peer) and `bench.ws` (a lean WebSocket client); it runs
this file as `--peer plain-ws,benchmarks/peer.py:SimpleChattingPeer`. See docs/benchmarks.md.
"""

import sqlite3
import sys
from pathlib import Path

from bench.driver import Client, Peer, in_parallel
from bench.ws import connect

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
PASSWORD = "secret-password"


class SimpleChattingClient(Client):
    """One signed-in connection in the JSON dialect."""

    def __init__(self, user, ws):
        super().__init__(user)
        self.ws = ws
        ws.on_text = self._on_text
        ws.on_close = self._on_close

    def _on_close(self):
        self.closed = True

    def _on_text(self, payload):
        if payload.startswith(b'{"event":"message"'):
            start = payload.find(b'"text":"') + 8
            self.on_message(payload[start : payload.find(b'"', start)].decode())
        elif payload.startswith(b'{"status":"ERROR"'):
            sys.exit(payload.decode())

    def send(self, to, text):
        self.ws.send(f'{{"command":"send","to":"u{to}","text":"{text}"}}')

    def send_group(self, group, text):
        self.ws.send(f'{{"command":"sendg","group":"1","text":"{text}"}}')

    async def close(self):
        await self.ws.close()


class SimpleChattingPeer(Peer):
    """The realm as people run it, but for its limits on how fast one may ask."""

    name = "simple-chatting"
    durable = "SQLite, WAL, synchronous=FULL; one fsynced commit before the reply and the push"
    auth = "argon2id"
    sender_gets_group_copy = False

    def command(self):
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        options = ["--data", str(self.dir / "data"), "--rate-limits", "off", "--realm", "bench"]
        return [str(PYTHON), "-m", "ws_server", *where, *options]

    def environment(self):
        return {"PYTHONPATH": str(ROOT)}

    def version(self):
        return f"Simple Chatting, Python {sys.version.split()[0]}"

    async def create_users(self, count):
        ws = await connect(self.port, "/")
        for user in range(count):
            await ws.ask(f"register u{user} U {PASSWORD} Nowhere", b"Welcome")
        await ws.close()

    async def connect(self, user):
        client = SimpleChattingClient(user, await connect(self.port, "/"))
        words = f'{{"command":"auth","user":"u{user}","password":"{PASSWORD}"}}'
        await client.ws.ask(words, b'"token"')
        return client

    async def open_group(self, group, clients):
        owner = clients[0]
        await owner.ws.ask('{"command":"creategroup","name":"room"}', b'"group":"#1"')

        def invite(client):
            words = '{"command":"invitegroup","id":"i%d","group":"1","user":"u%d"}'
            label = f'"id":"i{client.user}"'.encode()
            return lambda: owner.ws.ask(words % (client.user, client.user), label)

        await in_parallel([invite(client) for client in clients[1:]], 1)

    async def stored(self, clients, group):
        with sqlite3.connect(self.dir / "data" / "chat.db") as database:
            return database.execute("SELECT count(*) FROM messages").fetchone()[0]
