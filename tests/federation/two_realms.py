"""Two real realms, alpha and beta, and users who write between them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

from tests.rawclient import LIMIT, RawClient
from tests.realserver import RealServer
from tests.system.transfers import received

_NUMBERS = count(1)


class TwoRealms:
    """Alpha and beta; alpha has the address of beta."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Set up without starting.

        Args:
            options: Further command-line options of beta.
        """
        for name in ("alpha", "beta"):
            (folder / name).mkdir()
        self.alpha = RealServer(folder / "alpha")
        self.beta = RealServer(folder / "beta", "--realm", "beta", *options)
        self._people: list[RawClient] = []
        self._linked = False

    def start(self) -> None:
        self.alpha.start()
        self.beta.start()

    def kill(self) -> None:
        self.alpha.kill()
        self.beta.kill()

    async def link(self) -> None:
        """Add beta to alpha, once."""
        if not self._linked:
            self._linked = True
            admin = await self.sign_in(self.alpha, "ada")
            added = await admin.ask(
                "addrealm", name="beta", address="127.0.0.1", port=self.beta.port
            )
            assert added["link"] == "up"

    async def sign_in(self, server: RealServer, name: str, register: bool = True) -> RawClient:
        """Return a session of a user; by default, the user is registered first."""
        client = await RawClient.signed_in(server.url, name, register=register)
        self._people.append(client)
        return client

    async def two(self) -> tuple[RawClient, str, RawClient, str]:
        """Return a new user of alpha and one of beta, each with their local name."""
        here, there = f"ana{next(_NUMBERS)}", f"bea{next(_NUMBERS)}"
        return (
            *(await self.sign_in(self.alpha, here), here),
            *(await self.sign_in(self.beta, there), there),
        )

    async def leave(self) -> None:
        """Sign everybody out."""
        for client in self._people:
            await cut(client)
        self._people.clear()


async def cut(client: RawClient) -> None:
    """Abort a connection, because a closing handshake would wait until its frames are read."""
    client.socket.transport.abort()
    await client.socket.wait_closed()


async def fetched(client: RawClient, file: dict[str, Any]) -> bytes:
    """Request a file until its content has arrived from the other realm, and return it."""
    async with asyncio.timeout(LIMIT * 4):
        while True:
            reply = await client.say("getfile", file=file["id"])
            if reply["status"] == "OK":
                return await received(client, file)
            assert (reply["code"], reply["temporary"]) == ("unavailable", True), reply
            await asyncio.sleep(0.05)


def parts(server: RealServer) -> dict[str, int]:
    """Return the names and sizes of the parts and uploads beside the blobs."""
    found: dict[str, int] = {}
    for part in (server.data / "uploads").iterdir():
        with suppress(FileNotFoundError):  # complete by now
            found[part.name] = part.stat().st_size
    return found


def pending(server: RealServer) -> list[tuple[str, int]]:
    """Return a realm's pending downloads: hash and attempts."""
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        return list(database.execute("SELECT sha256, attempts FROM fetches ORDER BY sha256"))


def until_parts_grow(server: RealServer, above: int) -> int:
    """Wait until over `above` bytes of a content are on disk; return how many, 0 if complete."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        here = sum(parts(server).values())
        if here > above or not pending(server):
            return here
        time.sleep(0.01)
    raise AssertionError(f"nothing came in {LIMIT} s: {server.log[-2000:]}")
