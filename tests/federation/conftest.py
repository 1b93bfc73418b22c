"""Realms as processes, started as a test wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer

Start = Callable[..., Awaitable[RealServer]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a realm by name, `at` a port if that matters."""
    running: list[RealServer] = []

    async def start(name: str, *options: str, folder: str = "", at: int = 0) -> RealServer:
        home = tmp_path / (folder or name)
        home.mkdir()
        server = RealServer(home, "--realm", name, *options)
        server.port = at
        running.append(server)
        await asyncio.to_thread(server.start)
        return server

    yield start
    for server in running:
        server.kill()
        assert "Traceback" not in server.log


@pytest.fixture
async def pair(start: Start) -> list[RealServer]:
    """Two realms that do not know each other, alpha and beta."""
    return await asyncio.gather(start("alpha"), start("beta"))


Enter = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """Return a function that signs somebody in to a realm; the first one there is its admin."""
    clients: list[RawClient] = []

    async def enter(server: RealServer, name: str, *, register: bool = True) -> RawClient:
        client = await RawClient.signed_in(server.url, name, register=register)
        clients.append(client)
        return client

    yield enter
    for client in clients:
        await client.close()
