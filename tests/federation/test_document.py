"""docs/federation.md suffices to write another implementation.

This one does not use the server's code: it is written from "The link protocol" alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import struct
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve

from tests.federation.conftest import Enter
from tests.rawclient import LIMIT
from tests.realserver import RealServer


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def digest(dialler: Hello, listener: Hello, expected: bytes, port: int, tls: bool) -> bytes:
    fields = [*dialler, *listener, expected, struct.pack(">HB", port, tls)]
    return hashlib.sha256(b"".join(struct.pack(">I", len(f)) + f for f in fields)).digest()


Hello = tuple[bytes, bytes, bytes]
"""Name, key and nonce."""


class Stranger:
    """A realm called stranger, with its history over all links."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.port = 0
        self.received = ("", 0)
        self.texts: list[str] = []
        self.theirs = b""

    def hello(self) -> Hello:
        return b"stranger", self.public, os.urandom(32)

    async def dial(self, socket: Connection) -> Link:
        own = self.hello()
        said = {"name": "stranger", "key": b64(own[1]), "nonce": b64(own[2])}
        command: dict[str, Any] = {"command": "link", "version": 1, **said}
        command |= {"port": self.port, "scheme": "ws"}
        if self.theirs:
            command["expects"] = b64(self.theirs)
        await socket.send(json.dumps(command))
        answer = json.loads(await socket.recv())
        assert (answer["status"], answer["version"]) == ("OK", 1)
        other: Hello = (
            answer["name"].encode(),
            base64.b64decode(answer["key"]),
            base64.b64decode(answer["nonce"]),
        )
        d = digest(own, other, self.theirs, self.port, False)
        their_key = Ed25519PublicKey.from_public_bytes(other[1])
        signature = base64.b64decode(answer["signature"])
        their_key.verify(signature, b"simple-chatting link 1 hello" + b"listener" + d)
        self.theirs = other[1]
        proof = self.key.sign(b"simple-chatting link 1 hello" + b"dialler" + d)
        await socket.send(json.dumps({"command": "linkproof", "signature": b64(proof)}))
        answer = json.loads(await socket.recv())
        assert (answer["status"], answer["state"]) == ("OK", "active")
        return Link(self, socket, b"dialler", b"listener", d, their_key)

    async def listen(self, socket: Connection) -> Link:
        said = json.loads(await socket.recv())
        assert (said["command"], said["version"]) == ("link", 1)
        other: Hello = (
            said["name"].encode(),
            base64.b64decode(said["key"]),
            base64.b64decode(said["nonce"]),
        )
        own = self.hello()
        expected = base64.b64decode(said.get("expects") or "")
        d = digest(other, own, expected, said["port"], said["scheme"] == "wss")
        proof = self.key.sign(b"simple-chatting link 1 hello" + b"listener" + d)
        answer = {"name": "stranger", "key": b64(own[1]), "nonce": b64(own[2])}
        answer["signature"] = b64(proof)
        await socket.send(json.dumps({"status": "OK", "version": 1, **answer}))
        proven = json.loads(await socket.recv())
        assert proven["command"] == "linkproof"
        their_key = Ed25519PublicKey.from_public_bytes(other[1])
        signature = base64.b64decode(proven["signature"])
        their_key.verify(signature, b"simple-chatting link 1 hello" + b"dialler" + d)
        self.theirs = other[1]
        await socket.send(json.dumps({"status": "OK", "state": "active"}))
        return Link(self, socket, b"listener", b"dialler", d, their_key)


class Link:
    """Signed frames in both directions."""

    def __init__(
        self,
        realm: Stranger,
        socket: Connection,
        role: bytes,
        other: bytes,
        d: bytes,
        their_key: Ed25519PublicKey,
    ) -> None:
        self.realm = realm
        self.socket = socket
        self.out = b"simple-chatting link 1 frame" + role + d
        self.into = b"simple-chatting link 1 frame" + other + d
        self.their_key = their_key
        self.sent = 0
        self.taken = 0

    async def say(self, **body: Any) -> None:
        content = json.dumps(body)
        signed = self.out + struct.pack(">Q", self.sent) + content.encode()
        self.sent += 1
        await self.socket.send(b64(self.realm.key.sign(signed)) + content)

    async def hear(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            frame = str(await self.socket.recv()).encode()
        signed = self.into + struct.pack(">Q", self.taken) + frame[88:]
        self.their_key.verify(base64.b64decode(frame[:88]), signed)
        self.taken += 1
        body: dict[str, Any] = json.loads(frame[88:])
        assert body["kind"] == kind, body
        return body

    async def open(self) -> dict[str, Any]:
        """Exchange `open`, and return the `have` of the peer."""
        log, number = self.realm.received
        await self.say(kind="open", log="history-1", have={"log": log, "number": number})
        theirs = await self.hear("open")
        if theirs["log"] != log:
            self.realm.received = (theirs["log"], 0)
        return dict(theirs["have"])

    async def take(self) -> list[dict[str, Any]]:
        """Process a batch: refuse rows to `nobody`, store the others."""
        rows: list[dict[str, Any]] = (await self.hear("batch"))["items"]
        refused = {str(row["number"]): "unknown_user" for row in rows if row["to"] == "nobody"}
        self.realm.received = (self.realm.received[0], rows[-1]["number"])
        await self.say(kind="ack", up_to=rows[-1]["number"], refused=refused)
        return rows

    async def send(self, number: int, to: str, text: str) -> dict[str, Any]:
        """Send one message and return its outcome."""
        row = {"number": number, "kind": "message", "id": f"s_{number}", "from": "sam", "to": to}
        await self.say(kind="batch", items=[{**row, "seq": number, "time": 1, "text": text}])
        return await self.hear("ack")


async def test_another_implementation_dials_talks_and_catches_up(
    server: RealServer, enter: Enter
) -> None:
    emil = await enter(server, "emil")
    stranger = Stranger()
    async with connect(server.url, proxy=None, compression=None) as socket:
        link = await stranger.dial(socket)
        assert await link.open() == {"log": "", "number": 0}
        assert (await link.send(1, "emil", "hi"))["refused"] == {}
        assert (await emil.event("message"))["from"] == "sam@stranger"
        assert (await link.send(3, "nobody", "hi"))["refused"] == {"3": "unknown_user"}
        sent = await emil.send("send", to="sam@stranger", text="hello")
        (row,) = await link.take()
        assert (row["from"], row["to"], row["text"]) == ("emil", "sam", "hello")
        assert (row["number"], row["kind"], row["seq"]) == (1, "message", 2)
        reply = await emil.reply()
        assert (reply["id"], reply["state"], reply["message_id"]) == (sent, "delivered", row["id"])
        await emil.send("send", to="nobody@stranger", text="hello")
        await link.take()
        assert (await emil.reply())["code"] == "unknown_user"
    # Two messages are written while the stranger is offline; its `open` names the second row.
    while (await emil.event("realm"))["link"] != "down":
        pass
    for text in ("one", "two"):
        assert (await emil.ask("send", to="sam@stranger", text=text))["state"] == "queued"
    async with connect(server.url, proxy=None, compression=None) as socket:
        link = await stranger.dial(socket)
        have = await link.open()
        assert have == {"log": "history-1", "number": 3}
        rows = await link.take()
        assert [(row["number"], row["text"]) for row in rows] == [(3, "one"), (4, "two")]
        # A repeated row, as after a disconnect before the ack, is not written twice.
        assert await link.send(4, "emil", "again") == {"kind": "ack", "up_to": 4, "refused": {}}
        await link.say(kind="batch", items=[{
            "number": 5, "kind": "message", "id": "s_4", "from": "sam", "to": "emil",
            "seq": 4, "time": 1, "text": "again",
        }])  # fmt: skip
        assert (await link.hear("ack"))["up_to"] == 5
        page = await emil.ask("history", conversation="sam@stranger")
        assert [m["text"] for m in page["messages"]] == ["hi", "hello", "one", "two", "again"]


async def test_another_implementation_is_dialled(server: RealServer, enter: Enter) -> None:
    ann = await enter(server, "ann")
    stranger = Stranger()
    links: asyncio.Queue[Link] = asyncio.Queue()

    async def connected(socket: ServerConnection) -> None:
        links.put_nowait(await stranger.listen(socket))
        await socket.wait_closed()

    async with serve(connected, "127.0.0.1", 0, compression=None) as listening:
        port = listening.sockets[0].getsockname()[1]
        asking = asyncio.create_task(
            ann.ask("addrealm", name="other", address="127.0.0.1", port=port)
        )
        link = await links.get()
        await link.open()
        assert (await asking)["link"] == "up"
        assert (await link.send(1, "ann", "hi"))["refused"] == {}
        assert (await ann.event("message"))["from"] == "sam@other"
        # The server dials again after a link ends, now with an expected key.
        await link.socket.close()
        await (await links.get()).open()


async def test_what_the_document_forbids_is_noticed(server: RealServer) -> None:
    stranger = Stranger()
    async with connect(server.url, proxy=None, compression=None) as socket:
        link = await stranger.dial(socket)
        await link.open()
        link.sent += 1
        await link.say(kind="ack", up_to=0, refused={})
        await socket.wait_closed()
        assert socket.close_code == 4400
    async with connect(server.url, proxy=None, compression=None) as socket:
        link = await stranger.dial(socket)
        link.into = link.into.replace(b"listener", b"dialler")
        with pytest.raises(InvalidSignature):
            await link.open()
