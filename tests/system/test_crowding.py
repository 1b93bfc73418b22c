"""How many connections an address, an account and strangers may hold, and that others get in."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.rawclient import RawClient
from tests.realserver import EXECUTED, RealServer
from tests.system.bystanders import known
from tests.system.strangers import connected, opened
from tests.system.wire import HANDSHAKE, TEXT, frame

MIB = 2**20
MAX_HELD = 256
ATTEMPTS = 1_500


def limited(folder: Path, *options: str) -> RealServer:
    server = RealServer(folder, "--rate-limits", "on", *options)
    server.start()
    return server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    server = limited(tmp_path)
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """The test itself needs one for each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4_096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(server: RealServer) -> int:
    """Return the bytes of main memory that the server has."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def health(server: RealServer, address: str) -> bytes:
    sock = connected(server.port, address, timeout=5)
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with sock:
        return sock.recv(4096).partition(b"\r\n")[0]


def attempts(server: RealServer, address: str, count: int) -> list[socket.socket]:
    """Connect as often, ask for a WebSocket, and wait for no answer."""
    socks = []
    for _ in range(count):
        sock = connected(server.port, address)
        sock.setblocking(False)
        with suppress(OSError):
            sock.send(HANDSHAKE)
        socks.append(sock)
    return socks


def alive(socks: list[socket.socket]) -> list[socket.socket]:
    """Return those that the server has not closed, after it answered all."""
    held = []
    for sock in socks:
        with suppress(BlockingIOError):
            with suppress(ConnectionError):
                while sock.recv(65_536):
                    pass
            sock.close()
            continue
        held.append(sock)
    return held


async def sign_in(server: RealServer, name: str) -> float:
    """Sign in once, and return how long that took."""
    begun = time.monotonic()
    client = await RawClient.signed_in(server.url, name, register=False)
    taken = time.monotonic() - begun
    await client.close()
    return taken


async def test_of_1500_attempts_of_one_address_few_are_held_and_another_signs_in(
    server: RealServer,
) -> None:
    carol = await known(server.url, "carol")
    quiet = sorted([await sign_in(server, "carol") for _ in range(3)])[1]
    crowding = asyncio.create_task(asyncio.to_thread(attempts, server, "127.0.0.2", ATTEMPTS))
    during = []
    while not crowding.done():
        during.append(await sign_in(server, "carol"))
    socks = await crowding
    assert await sign_in(server, "carol") < quiet + 0.2
    assert min(during) < quiet + 0.2
    print(f"quiet {quiet:.3f} s, meanwhile {min(during):.3f} to {max(during):.3f}")
    await carol.ask("ping")
    held = alive(socks)
    await carol.ask("ping")
    assert 100 < len(held) <= MAX_HELD
    # Health is answered to everybody, also at the address that has no place left.
    assert health(server, "127.0.0.1") == health(server, "127.0.0.2") == b"HTTP/1.1 200 OK"
    refused = connected(server.port, "127.0.0.2")
    refused.sendall(HANDSHAKE)
    assert refused.recv(4096).startswith(b"HTTP/1.1 429 ")
    for sock in (*socks, refused):
        sock.close()
    await carol.close()


@pytest.mark.parametrize("size", [16_000, 1_000_000])
async def test_unfinished_frames_of_300_strangers_cost_little_memory(
    server: RealServer, size: int
) -> None:
    """They took 80 MiB to 687: each held about 2 MiB."""
    carol = await known(server.url, "carol")
    before = resident(server)
    socks = []
    for number in range(300):
        sock = opened(server.port, f"127.0.0.{2 + number % 3}")
        assert sock is not None
        socks.append(sock)
        sock.setblocking(False)
        with suppress(OSError):
            sock.send(frame(TEXT, b"x" * size)[:-1])
    grown = 0
    for _ in range(10):
        await carol.ask("ping")
        grown = max(grown, resident(server) - before)
        await asyncio.sleep(0.1)
    print(f"grew by {grown / MIB:.1f} MiB")
    assert grown < 40 * MIB
    for sock in socks:
        sock.close()
    await carol.close()


async def test_an_account_has_64_sessions_and_the_oldest_goes(server: RealServer) -> None:
    """300 of one account took all descriptors."""
    sessions = [await known(server.url, "carol")]
    for _ in range(69):
        sessions.append(await RawClient.signed_in(server.url, "carol", register=False))
    for old in sessions[:6]:
        with pytest.raises(ConnectionClosed) as closed:
            await old.frame()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4504
    for session in sessions[6:]:
        await session.ask("ping")
        await session.close()


async def test_with_256_descriptors_strangers_give_way_and_everything_works(tmp_path: Path) -> None:
    """Nobody else got in, health was silent and files were `unavailable`."""
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.program = ("bash", "-c", 'ulimit -n 256; exec "$0" "$@"', *EXECUTED)
    server.start()
    try:
        carol, dave = await known(server.url, "carol"), await known(server.url, "dave")
        socks = []
        for address in range(2, 8):
            socks += await asyncio.to_thread(attempts, server, f"127.0.0.{address}", 100)
        assert health(server, "127.0.0.1") == b"HTTP/1.1 200 OK"
        sent = await carol.ask("sendfile", to="dave", name="a.txt", data="aGk=")
        assert (await dave.event("message"))["id"] == sent["message_id"]
        assert (await dave.event("file"))["data"] == "aGk="
        assert await sign_in(server, "carol") < 2
        held = alive(socks)
        assert 50 < len(held) < 160
        assert len(os.listdir(f"/proc/{server.pid}/fd")) < 250
        for sock in socks:
            sock.close()
        await carol.close()
        await dave.close()
        assert "Traceback" not in server.log and 'event="no connection' not in server.log
    finally:
        server.kill()


async def test_without_limits_2000_connections_of_one_address_stay(tmp_path: Path) -> None:
    """A benchmark opens so many; the start says what that means."""
    server = RealServer(tmp_path)
    server.start()
    try:
        socks = [opened(server.port, "127.0.0.1") for _ in range(2_000)]
        assert None not in socks
        for sock in socks[::100]:
            assert sock is not None
            sock.sendall(frame(TEXT, b"ping"))
            assert sock.recv(100).endswith(b"OK Pong")
        assert "Limits are off" in server.log
        for sock in socks:
            assert sock is not None
            sock.close()
    finally:
        server.kill()


async def test_an_office_of_200_behind_one_address_signs_in_at_once(server: RealServer) -> None:
    """A restart, or the morning: all of them come back within a moment."""
    first = await known(server.url, "carol")
    token = (await first.ask("auth", user="carol", password="secret-carol"))["token"]

    async def come_back() -> RawClient:
        client = await RawClient.open(server.url)
        await client.ask("resume", token=token)
        return client

    begun = time.monotonic()
    # As many sessions as an account may have, then signed-out ones beside them.
    together = await asyncio.gather(*(come_back() for _ in range(63)))
    others = await asyncio.gather(*(RawClient.open(server.url) for _ in range(137)))
    for client in others:
        await client.ask("ping")
    print(f"200 are here within {time.monotonic() - begun:.2f} s")
    assert time.monotonic() - begun < 10
    for client in (first, *together, *others):
        await client.close()
