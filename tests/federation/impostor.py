"""A scripted realm: it sends the frames that a test wants, valid or not."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from shared.protocol.base64 import written as encoded
from tests.federation.listening import Listening
from tests.rawclient import LIMIT
from ws_server.federation.handshake.transcript import Hello, Role, Seal, Transcript
from ws_server.key import fingerprint


class Refused(Exception):
    """The realm refused a command."""


def key_of(name: str) -> Ed25519PrivateKey:
    """Return the key of an impostor, derived from its name."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


class Impostor:
    """One connection to a real realm, in the name of another one."""

    def __init__(self, socket: ClientConnection | ServerConnection, name: str) -> None:
        self.socket = socket
        self.name = name
        self.key = key_of(name)
        self.public_key = self.key.public_key().public_bytes_raw()
        self.fingerprint = fingerprint(self.public_key)
        self.transcript: Transcript | None = None
        self.seal: Seal | None = None

    @classmethod
    async def dial(cls, url: str, name: str) -> Impostor:
        """Connect without sending a frame."""
        return cls(await connect(url, proxy=None, compression=None), name)

    @classmethod
    async def linked(cls, url: str, name: str, *, port: int = 0, state: str = "active") -> Impostor:
        """Connect and prove the key; only `open` is left to exchange."""
        impostor = await cls.dial(url, name)
        try:
            await impostor.say_link(port=port)
            opened = await impostor.prove()
        except Refused:
            await impostor.close()
            raise
        assert opened["state"] == state
        return impostor

    async def ask(self, **body: Any) -> dict[str, Any]:
        """Send a command and return its reply, which must be OK.

        Raises:
            Refused: the reply is an error.
        """
        await self.socket.send(orjson.dumps(body).decode())
        async with asyncio.timeout(LIMIT):
            reply = dict(orjson.loads(await self.socket.recv()))
        if reply["status"] != "OK":
            raise Refused(f"{reply['code']}: {reply['message']}")
        return reply

    async def say_link(self, *, port: int = 0, **other: Any) -> Transcript:
        """Send `link` and store the transcript."""
        own = Hello(self.name, self.public_key)
        said = {
            "version": 1,
            "name": self.name,
            "key": encoded(self.public_key),
            "nonce": encoded(own.nonce),
            "port": port,
            "scheme": "ws",
        }
        offered = await self.ask(command="link", **{**said, **other})
        key, nonce, signature = (
            binascii.a2b_base64(offered[field]) for field in ("key", "nonce", "signature")
        )
        transcript = Transcript(own, Hello(offered["name"], key, nonce), None, port, False)
        if not other:
            transcript.check(signature, Role.LISTENER)
        self.transcript = transcript
        return transcript

    async def prove(self, signature: bytes | None = None) -> dict[str, Any]:
        """Send `linkproof`, by default with a valid signature."""
        assert self.transcript is not None
        right = self.transcript.sign(self.key, Role.DIALLER)
        opened = await self.ask(command="linkproof", signature=encoded(signature or right))
        self.seal = Seal(self.transcript, self.key, Role.DIALLER)
        return opened

    def sealed(self, **body: Any) -> str:
        """Return the next frame with this body, signed."""
        assert self.seal is not None
        return self.seal.close(orjson.dumps(body)).decode()

    async def say(self, **body: Any) -> None:
        """Send a frame of the link."""
        await self.socket.send(self.sealed(**body))

    async def hear(self, kind: str) -> dict[str, Any]:
        """Return the next frame of a kind; drop frames of other kinds."""
        assert self.seal is not None
        async with asyncio.timeout(LIMIT):
            while True:
                frame = await self.socket.recv(decode=False)
                body = dict(orjson.loads(self.seal.open(bytes(frame))))
                if body["kind"] == kind:
                    return body

    async def open(self, log: str = "log-1", number: int = 0) -> dict[str, Any]:
        """Send `open` without any received row, and return the peer's `open`."""
        await self.say(kind="open", log=log, have={"log": "", "number": number})
        return await self.hear("open")

    async def closed_with(self) -> int | None:
        """Wait until the peer has closed, and return its close code."""
        async with asyncio.timeout(LIMIT):
            try:
                while True:
                    await self.socket.recv(decode=False)
            except ConnectionClosed:
                return self.socket.close_code

    async def close(self) -> None:
        await self.socket.close()


class DialledRealm(Listening):
    """A scripted realm that is dialled; use it as `async with DialledRealm(name) as there`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.proven = asyncio.Event()
        """A dialler has sent its proof."""
        self.go = asyncio.Event()
        """Proofs are answered once this is set."""
        self._links: asyncio.Queue[Impostor] = asyncio.Queue()

    async def link(self) -> Impostor:
        """Return the next connection with a completed handshake."""
        async with asyncio.timeout(LIMIT):
            return await self._links.get()

    async def _connected(self, socket: ServerConnection) -> None:
        impostor = Impostor(socket, self.name)
        said = orjson.loads(await socket.recv())
        dialler = Hello(said["name"], *(binascii.a2b_base64(said[f]) for f in ("key", "nonce")))
        own = Hello(self.name, impostor.public_key)
        expected = binascii.a2b_base64(said["expects"]) if said.get("expects") else None
        transcript = Transcript(dialler, own, expected, said["port"], said["scheme"] == "wss")
        offered = {
            "version": 1,
            "name": self.name,
            "key": encoded(own.key),
            "nonce": encoded(own.nonce),
            "signature": encoded(transcript.sign(impostor.key, Role.LISTENER)),
        }
        await socket.send(orjson.dumps({"status": "OK", **offered}).decode())
        proof = orjson.loads(await socket.recv())
        transcript.check(binascii.a2b_base64(proof["signature"]), Role.DIALLER)
        self.proven.set()
        await self.go.wait()
        await socket.send('{"status":"OK","state":"active"}')
        impostor.transcript = transcript
        impostor.seal = Seal(transcript, impostor.key, Role.LISTENER)
        self._links.put_nowait(impostor)
        await socket.wait_closed()
