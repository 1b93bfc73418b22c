"""A realm that a test simulates frame by frame, by the protocol of docs/federation.md."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from itertools import count
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.federation.two_realms import cut, pending
from tests.rawclient import LIMIT, RawClient
from tests.realserver import RealServer
from ws_server.federation.handshake.transcript import Hello, Role, Seal, Transcript

PIECE = 48 * 1024
BROKEN = 4400
"""Close code for a link whose peer violated the protocol."""
_NUMBERS = count(1)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def described(content: bytes, **changed: Any) -> dict[str, Any]:
    """Return the `file` of a row for this content, with some fields changed."""
    sha256 = hashlib.sha256(content).hexdigest()
    type = "application/octet-stream"
    return {"name": "x.bin", "size": len(content), "type": type, "sha256": sha256, **changed}


class HandmadeRealm:
    """A realm called mallory with a link to a real one; mallory does not listen."""

    def __init__(self, name: str = "mallory") -> None:
        self.name = name
        self.key = Ed25519PrivateKey.generate()
        self.log = f"log-{next(_NUMBERS)}"
        self.number = 0
        """The number of the last row sent."""
        self.their_key = ""
        """The other realm's public key."""
        self._socket: ClientConnection
        self._seal: Seal
        self.kept: list[dict[str, Any]] = []
        """Frames that arrived while `hear` waited for another kind."""

    async def dial(self, server: RealServer) -> None:
        """Dial, perform the handshake and exchange `open`."""
        self.kept.clear()
        self._socket = await connect(server.url, proxy=None, compression=None, max_queue=None)
        own = Hello(self.name, self.key.public_key().public_bytes_raw())
        offered = await self._ask(
            command="link",
            version=1,
            name=own.realm,
            key=encoded(own.key),
            nonce=encoded(own.nonce),
            port=0,
            scheme="ws",
        )
        self.their_key = offered["key"]
        theirs = Hello(
            offered["name"], base64.b64decode(offered["key"]), base64.b64decode(offered["nonce"])
        )
        transcript = Transcript(own, theirs, None, 0, False)
        transcript.check(base64.b64decode(offered["signature"]), Role.LISTENER)
        proof = encoded(transcript.sign(self.key, Role.DIALLER))
        assert (await self._ask(command="linkproof", signature=proof))["state"] == "active"
        self._seal = Seal(transcript, self.key, Role.DIALLER)
        await self.say(kind="open", log=self.log, have={"log": "", "number": 0})
        assert (await self._frame())["kind"] == "open"

    async def hang_up(self) -> None:
        await self._socket.close()

    async def _ask(self, **body: Any) -> dict[str, Any]:
        await self._socket.send(orjson.dumps(body).decode())
        reply = orjson.loads(await self._socket.recv())
        assert reply["status"] == "OK", reply
        return dict(reply)

    async def say(self, **body: Any) -> None:
        """Send a frame."""
        await self._socket.send(self._seal.close(orjson.dumps(body)), text=True)

    async def _frame(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            frame = await self._socket.recv(decode=False)
        return dict(orjson.loads(self._seal.open(bytes(frame))))

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """Return the next frame of one of these kinds; keep frames of other kinds for later."""
        for at, body in enumerate(self.kept):
            if body["kind"] in kinds:
                return self.kept.pop(at)
        while True:
            body = await self._frame()
            if body["kind"] in kinds:
                return body
            self.kept.append(body)

    async def closed(self) -> int:
        """Wait until the peer closes the link, and return its close code."""
        try:
            while True:
                await self._frame()
        except ConnectionClosed as error:
            assert error.rcvd is not None
            return error.rcvd.code

    async def send(self, to: str, sender: str = "eve", **row: Any) -> str | None:
        """Send a message and return its refusal code; None if it was stored."""
        self.number += 1
        id = f"m_{self.log}{self.number}"
        item = {"number": self.number, "kind": "message", "id": id, "from": sender, "to": to}
        body = {"seq": self.number, "time": 1, "text": "", **row}
        await self.say(kind="batch", items=[item | body])
        while (ack := await self.hear("ack"))["up_to"] < self.number:
            pass
        refused = ack["refused"].get(str(self.number))
        return None if refused is None else str(refused)

    async def change(
        self, group: int, version: int, members: list[dict[str, Any]], **more: Any
    ) -> None:
        """Send the roster of a group hosted by this realm."""
        body = {"group": group, "name": "offers", "version": version, "last_seq": 0}
        await self._row("change", body | {"members": members, "change": "joined"} | more)

    async def relay(self, group: int, seq: int, sender: dict[str, Any], text: str) -> str | None:
        """Relay a message of a group hosted by this realm; return its refusal code, or None."""
        body = {"group": group, "seq": seq, "from": sender, "text": text, "time": 1}
        return await self._row("group", body | {"id": f"m_{self.log}{self.number}g"})

    async def _row(self, kind: str, body: dict[str, Any]) -> str | None:
        self.number += 1
        await self.say(kind="batch", items=[{"number": self.number, "kind": kind, **body}])
        while (ack := await self.hear("ack"))["up_to"] < self.number:
            pass
        refused = ack["refused"].get(str(self.number))
        return None if refused is None else str(refused)

    async def give(self, content: bytes, until: int | None = None) -> list[int]:
        """Answer wants with this content, beginning with the given one, up to the last byte.

        Args:
            until: Do not answer wants from this offset on.

        Returns:
            The offsets that were requested and answered.
        """
        offsets: list[int] = []
        while not offsets or offsets[-1] + PIECE < len(content):
            want = await self.hear("want")
            if until is not None and want["offset"] >= until:
                break
            offsets.append(want["offset"])
            await self.answer(want, content)
        return offsets

    async def answer(self, want: dict[str, Any], content: bytes) -> None:
        """Answer one want with a piece of a content."""
        offset = want["offset"]
        await self.say(
            kind="piece",
            sha256=want["sha256"],
            offset=offset,
            data=encoded(content[offset : offset + PIECE]),
            last=offset + PIECE >= len(content),
        )


class Stage:
    """A real realm called beta, its users, and the realms that a test simulates."""

    def __init__(self, beta: RealServer) -> None:
        self.beta = beta
        self._people: list[RawClient] = []
        self._realms: list[HandmadeRealm] = []

    async def sign_in(self, name: str, register: bool = True) -> RawClient:
        """Return a session of a user of beta; by default, the user is registered first."""
        client = await RawClient.signed_in(self.beta.url, name, register=register)
        self._people.append(client)
        return client

    async def linked(self, name: str = "mallory") -> HandmadeRealm:
        """Return a simulated realm with a link to beta."""
        realm = HandmadeRealm(name)
        await realm.dial(self.beta)
        self._realms.append(realm)
        return realm

    async def until_pending(self, *left: tuple[str, int]) -> None:
        """Wait until exactly these contents, with these numbers of attempts, are pending."""
        async with asyncio.timeout(LIMIT):
            while True:
                if pending(self.beta) == list(left):
                    return
                await asyncio.sleep(0.02)

    async def leave(self) -> None:
        for realm in self._realms:
            await realm.hang_up()
        for client in self._people:
            await cut(client)
