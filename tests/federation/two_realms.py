"""Two real realms, alpha and beta, and people who talk from one to the other."""

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
    """Alpha, which knows the address of beta, and beta."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Start nothing yet.

        Args:
            options: Further ones of beta.
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
        """Let alpha add beta, once."""
        if not self._linked:
            self._linked = True
            admin = await self.sign_in(self.alpha, "ada")
            added = await admin.ask(
                "addrealm", name="beta", address="127.0.0.1", port=self.beta.port
            )
            assert added["link"] == "up"

    async def sign_in(self, server: RealServer, name: str, register: bool = True) -> RawClient:
        """Return a session of somebody, who is registered first unless told otherwise."""
        client = await RawClient.signed_in(server.url, name, register=register)
        self._people.append(client)
        return client

    async def two(self) -> tuple[RawClient, str, RawClient, str]:
        """Return a new person of alpha and one of beta, each with the name they have there."""
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
    """End a connection whose frames nobody may have read, which a closing handshake waits for."""
    client.socket.transport.abort()
    await client.socket.wait_closed()


async def fetched(client: RawClient, file: dict[str, Any]) -> bytes:
    """Ask for a file until its content has come from the other realm, and return it."""
    async with asyncio.timeout(LIMIT * 4):
        while True:
            reply = await client.say("getfile", file=file["id"])
            if reply["status"] == "OK":
                return await received(client, file)
            assert (reply["code"], reply["temporary"]) == ("unavailable", True), reply
            await asyncio.sleep(0.05)


def parts(server: RealServer) -> dict[str, int]:
    """Return what lies beside the blobs: the names of parts and uploads, and their sizes."""
    found: dict[str, int] = {}
    for part in (server.data / "uploads").iterdir():
        with suppress(FileNotFoundError):  # complete by now
            found[part.name] = part.stat().st_size
    return found


def pending(server: RealServer) -> list[tuple[str, int]]:
    """Return what a realm still has to fetch: hash and attempts."""
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        return list(database.execute("SELECT sha256, attempts FROM fetches ORDER BY sha256"))


def until_parts_grow(server: RealServer, above: int) -> int:
    """Wait until more than so many bytes of a content are on disk; 0 if it is complete."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        here = sum(parts(server).values())
        if here > above or not pending(server):
            return here
        time.sleep(0.01)
    raise AssertionError(f"nothing came in {LIMIT} s: {server.log[-2000:]}")
