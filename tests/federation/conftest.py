"""Fixtures that start realms as processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.federation.handmade import Stage
from tests.federation.two_realms import TwoRealms
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import Chat, known

Start = Callable[..., Awaitable[RealServer]]
Started = Callable[..., RealServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a realm by name, at the port `at` if given."""
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
    """Two realms that are not linked, alpha and beta."""
    return await asyncio.gather(start("alpha"), start("beta"))


Enter = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """Return a function that signs a user in to a realm; a realm's first user is its admin."""
    clients: list[RawClient] = []

    async def enter(server: RealServer, name: str, *, register: bool = True) -> RawClient:
        client = await RawClient.signed_in(server.url, name, register=register)
        clients.append(client)
        return client

    yield enter
    for client in clients:
        await client.close()


@pytest.fixture(scope="module")
def lasting_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRealms]:
    """Two realms shared by the tests of a module, which must not stop them."""
    pair = TwoRealms(tmp_path_factory.mktemp("pair"))
    pair.start()
    yield pair
    pair.kill()


@pytest.fixture
async def linked(lasting_pair: TwoRealms) -> AsyncIterator[TwoRealms]:
    """The lasting realms, linked; their sessions are signed out at the end of the test."""
    await lasting_pair.link()
    yield lasting_pair
    await lasting_pair.leave()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A realm for a test that simulates the other realms frame by frame."""
    server = RealServer(tmp_path, "--realm", "beta")
    server.start()
    made = Stage(server)
    yield made
    await made.leave()
    server.kill()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Return a function that starts a realm with limits, publicly reachable by default."""
    running: list[RealServer] = []

    def start(*options: str, trial: bool = False) -> RealServer:
        folder = tmp_path / f"{len(running)}"
        folder.mkdir()
        stand = () if trial else ("--origins", "https://chat.example.org")
        server = RealServer(folder, "--rate-limits", "on", *stand, *options)
        running.append(server)
        server.start()
        return server

    yield start
    for server in running:
        server.kill()
        assert "Traceback" not in server.log


@pytest.fixture
async def chat(server: RealServer) -> AsyncIterator[Chat]:
    """Carol and dave, bystanders who must not be affected."""
    both = Chat(*[await known(server.url, name) for name in ("carol", "dave")])
    await both.talk()
    yield both
    await both.carol.close()
    await both.dave.close()
    assert "Traceback" not in server.log
