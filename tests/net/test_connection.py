"""Rules of one WebSocket: fair turns, one write per loop pass, intact frames for slow readers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.rawclient import RawClient
from tests.system.wire import PING, PONG, TEXT, Wire, frame, say
from tests.world import World
from ws_server.net import fair_turns
from ws_server.net.connection import MAX_SMALL, Connection
from ws_server.net.reader import MAX_FRAMES, MAX_UNSENT_BYTES, STEP
from ws_server.net.session import Session

SMALLEST = 10
"""Bytes of the smallest command: a header of 6 and `ping`."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


@pytest.fixture
async def wire(world: World) -> AsyncIterator[Wire]:
    """A client that reads only when the test does."""
    assert world._server is not None
    wire = await Wire.open(world._server.port, small=True)
    yield wire
    wire.drop()
    Wire.opened.clear()


def server_side(world: World) -> Connection:
    """Return the server's object for the only connection."""
    assert world._server is not None
    (connection,) = world._server.listener.connections
    return connection


def watch_writes(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the list to which each write to the transport is appended first."""
    written: list[bytes] = []
    transport = connection.transport
    write = transport.write

    def note(data: bytes) -> None:
        written.append(bytes(data))
        write(data)

    monkeypatch.setattr(transport, "write", note)
    return written


async def test_a_flood_of_frames_takes_turns_with_everybody_else(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One turn of a connection parses at most MAX_FRAMES and what the last STEP holds."""
    await settled(wire)
    monkeypatch.setattr(fair_turns, "PASS_SECONDS", 0)  # one turn a pass
    passes = 0
    running = True

    def tick() -> None:
        nonlocal passes
        passes += 1
        if running:
            loop.call_soon(tick)

    at: list[int] = []
    receive = world.gate.receive

    def note(session: Session, payload: bytes) -> None:
        at.append(passes)
        receive(session, payload)

    monkeypatch.setattr(world.gate, "receive", note)
    loop = asyncio.get_running_loop()
    tick()
    count = 5_000
    # Pass it to the protocol at once, like one large read.
    connection = server_side(world)
    connection.data_received(frame(TEXT, b"ping") * count)
    for _ in range(count):
        assert await wire.next() == (TEXT, b"OK Pong")
    running = False
    assert len(at) == count
    most = max(at.count(number) for number in set(at))
    assert most <= MAX_FRAMES + STEP // SMALLEST
    assert len(set(at)) >= count // (MAX_FRAMES + STEP // SMALLEST)


async def settled(wire: Wire) -> None:
    """Wait until the server has answered all sent commands."""
    wire.writer.write(frame(PING, b"settled"))
    while await wire.next() != (PONG, b"settled"):
        pass


@pytest.mark.slow
async def test_a_flood_does_not_delay_other_clients_by_all_its_frames(
    world: World, wire: Wire
) -> None:
    """A ping that arrives during a flood is answered long before the flood is."""
    connection = server_side(world)
    assert world._server is not None
    other = await RawClient.open(f"ws://127.0.0.1:{world._server.port}")
    before = world.gate.commands
    count = 50_000
    connection.data_received(frame(TEXT, b"ping") * count)
    reading = asyncio.create_task(read_all(wire, count))
    await other.ask("ping")
    assert world.gate.commands - before < count // 2
    await reading
    await other.close()


async def read_all(wire: Wire, count: int) -> None:
    for _ in range(count):
        assert await wire.next() == (TEXT, b"OK Pong")


async def test_a_large_frame_among_small_ones_keeps_its_place(world: World, wire: Wire) -> None:
    """Frames parsed in steps equal the sent ones."""
    sent = []
    for number, size in enumerate((0, STEP - 1, 3, STEP, 5 * STEP + 7, 1, 200_000, 0)):
        body = orjson.dumps({"command": "ping", "id": str(number)})
        sent.append(frame(TEXT, body + b" " * size))
    server_side(world).data_received(b"".join(sent))
    for number in range(len(sent)):
        assert (await wire.reply())["id"] == str(number)


async def test_frames_written_in_one_pass_leave_in_one_write(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(wire)
    connection = server_side(world)
    written = watch_writes(connection, monkeypatch)
    payloads = [b"x" * size for size in (0, 1, 125, 126, 1_023, 1_024, 65_535, 65_536)]
    for payload in payloads:
        connection.write(payload)
    assert written == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(written) == 1
    for payload in payloads:
        assert await wire.next() == (TEXT, payload)


async def test_replies_to_frames_that_came_together_leave_together(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(wire)
    written = watch_writes(server_side(world), monkeypatch)
    wire.writer.write(say("format", dialect="text") + frame(TEXT, b"nonsense") * 20)
    for _ in range(21):
        await wire.next()
    assert len(written) < 5


def shrink(connection: Connection) -> None:
    """Reduce the kernel's buffers, so that unread bytes soon block the writer."""
    sock: Any = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


async def clog(connection: Connection, wire: Wire) -> int:
    """Write until the connection is congested; return the number of frames written."""
    shrink(connection)
    count = 0
    while not connection.congested:
        connection.write(b"clog" * 4_000)
        count += 1
        await asyncio.sleep(0)
    return count


@pytest.mark.parametrize("at_once", [1, 50, MAX_SMALL + 1])
async def test_small_frames_for_a_slow_reader_keep_their_order_and_content(
    world: World, wire: Wire, at_once: int
) -> None:
    """Waiting frames are joined; a peer that resumes reading before MAX_UNSENT_BYTES gets all."""
    await settled(wire)
    connection = server_side(world)
    clogs = await clog(connection, wire)
    payloads = [f"{number} ".encode() * (number % 40) for number in range(5 * MAX_SMALL + 3)]
    for start in range(0, len(payloads), at_once):
        for payload in payloads[start : start + at_once]:
            connection.write(payload)
        await asyncio.sleep(0)
    assert connection._joined > 0, "nothing was joined, so this tests nothing"
    for _ in range(clogs):
        assert await wire.next() == (TEXT, b"clog" * 4_000)
    for payload in payloads:
        assert await wire.next() == (TEXT, payload)
    # The connection works as before.
    wire.writer.write(say("ping", id="on"))
    assert (await wire.reply())["id"] == "on"


async def test_joined_frames_are_few_objects(world: World, wire: Wire) -> None:
    """As separate objects, small frames used many times their size."""
    await settled(wire)
    connection = server_side(world)
    await clog(connection, wire)
    count = 20 * MAX_SMALL
    for _ in range(count):
        connection.write(b"x")
        await asyncio.sleep(0)
    assert len(connection._out) < 2 * MAX_SMALL + count // MAX_SMALL * 2
    assert not connection.transport.is_closing()


async def test_who_stays_behind_is_closed_with_4000_and_the_rest_is_dropped(
    world: World, wire: Wire
) -> None:
    """Contract 8: if more than 4 MiB wait, the connection is closed and its frames are dropped."""
    await settled(wire)
    connection = server_side(world)
    await clog(connection, wire)
    written = 0
    while written <= MAX_UNSENT_BYTES:
        connection.write(b"y" * 60_000)
        written += 60_000
        await asyncio.sleep(0)
    assert connection.session is not None and connection.session.has_ended
    assert connection._out == []
    assert await wire.close_code() in (4000, None)


async def test_commands_of_a_slow_reader_wait_and_are_answered_once_they_read(
    world: World, wire: Wire
) -> None:
    """Commands of a slow reader are not executed until they read again; no answer is lost."""
    await settled(wire)
    connection = server_side(world)
    clogs = await clog(connection, wire)
    pings = b"".join(say("ping", id=str(number)) for number in range(10))
    connection.data_received(pings)
    assert connection.session is not None and len(connection.session.pipeline.queue or ()) == 10
    for _ in range(clogs):
        await wire.next()
    for number in range(10):
        assert (await wire.reply())["id"] == str(number)


async def test_what_waits_behind_an_end_is_no_fault(
    world: World, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """A turn after the end made the library parse further bytes, which raised."""
    await settled(wire)
    connection = server_side(world)
    assert connection.session is not None
    connection.data_received(frame(TEXT, b"ping") * 2_000)
    connection.eof_received()
    world.gate.end(connection.session)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert not connection._backlog
