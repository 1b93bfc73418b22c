"""A server that lasts for a module, and who talks there while a test misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.realserver import RealServer
from tests.system.bystanders import Chat, known
from tests.system.wire import Wire
from tests.system.wscat import Terminals, Wscat


@pytest.fixture
async def chat(server: RealServer) -> AsyncIterator[Chat]:
    """Carol and dave, who should notice nothing."""
    carol, dave = [await known(server.url, name) for name in ("carol", "dave")]
    both = Chat(carol, dave)
    await both.talk()
    yield both
    await carol.close()
    await dave.close()


@pytest.fixture
async def wires() -> AsyncIterator[None]:
    """Drop all wires when a test ends, however it ends."""
    yield
    for wire in Wire.opened:
        wire.drop()
    Wire.opened.clear()
    await asyncio.sleep(0)


@pytest.fixture
def terminal(real_server: RealServer) -> Iterator[Terminals]:
    """Open terminals; with a name, that person registers (once) and signs in."""
    opened: list[Wscat] = []
    known: set[str] = set()

    def open_one(name: str = "") -> Wscat:
        one = Wscat(real_server.url)
        opened.append(one)
        if name and name not in known:
            known.add(name)
            assert one.say(f"register {name} {name.title()} secret-{name} Indonesia")[:2] == "OK"
        if name:
            assert one.say(f"auth {name} secret-{name}")[:2] == "OK"
        return one

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[RealServer]:
    """A server with rate limits."""
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    yield server
    server.kill()
