"""Strangers who flood from one address are not noticed at another one.

Each test compares what somebody feels beside the flood with the quiet figure of the same run.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import Chat, known
from tests.system.strangers import FLOODS, Strangers
from tests.system.wire import PING, PONG, TEXT, Wire, frame

SECONDS = 2.0
"""That each flood is watched for."""
NOTICED = 0.02
"""Seconds of a median that nobody notices, whatever the quiet figure was."""
WORST = 0.3


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    server = RealServer(tmp_path_factory.mktemp("limited"), "--rate-limits", "on")
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def talking(limited: RealServer) -> AsyncIterator[Chat]:
    carol, dave = [await known(limited.url, name) for name in ("carol", "dave")]
    chat = Chat(carol, dave)
    await chat.talk()
    yield chat
    await carol.close()
    await dave.close()


async def felt(chat: Chat) -> list[float]:
    """Talk for a while, and return how long each message took."""
    chat.seconds = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        await chat.talk()
        await asyncio.sleep(0.02)
    return chat.seconds


@pytest.mark.parametrize("what", [*FLOODS, "half-frames"])
async def test_a_flood_from_one_address_is_not_felt_at_another(
    limited: RealServer, talking: Chat, what: str
) -> None:
    """100 connections, 1 MB/s together; pongs took others' sends from 3 ms to seconds."""
    quiet = statistics.median(await felt(talking))
    # An address of its own, so that no flood pays for the one before.
    address = f"127.0.1.{1 + [*FLOODS, 'half-frames'].index(what)}"
    with Strangers(limited.port, what, address=address):
        seconds = await felt(talking)
    median, worst = statistics.median(seconds), max(seconds)
    print(f"quiet {quiet * 1000:.1f} ms, beside it {median * 1000:.1f}, worst {worst * 1000:.0f}")
    assert median < max(3 * quiet, NOTICED)
    # The slowest of a hundred is the machine's, too, where other tests run beside this one.
    assert worst < max(WORST, 20 * quiet)
    assert "Traceback" not in limited.log


@pytest.mark.parametrize("what", ["pongs", "dear-json"])
async def test_a_signed_in_flood_is_bounded_too(tmp_path: Path, what: str, wires: None) -> None:
    """Noise closes a connection with 4502, and its address has one turn, however many it has."""
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    try:
        chat = Chat(await known(server.url, "carol"), await known(server.url, "dave"))
        eve = await known(server.url, "eve")
        quiet = statistics.median(await felt(chat))
        auth = frame(TEXT, b"auth eve secret-eve")
        with Strangers(server.port, what, count=20, first=auth):
            seconds = await felt(chat)
        median, worst = statistics.median(seconds), max(seconds)
        print(f"quiet {quiet * 1000:.1f}, beside it {median * 1000:.1f}, worst {worst * 1000:.0f}")
        assert median < max(5 * quiet, 0.05)
        if what == "pongs":
            assert "4502" in await closings(server)
        # She has spent what her account may, wherever she sits, and her other session lives.
        reply = await eve.say("ping")
        assert reply["status"] == "OK" or (what, reply["code"]) == ("dear-json", "rate_limited")
    finally:
        server.kill()


async def closings(server: RealServer) -> dict[str, str]:
    """Return how many WebSockets were closed by each code."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return dict(re.findall(r'chat_closed_total{by="(\w+)"} (\d+)', text))


async def test_noise_is_closed_with_4502_but_not_a_few_pings(
    limited: RealServer, wires: None
) -> None:
    """RFC 6455 allows pings and unasked pongs; hundreds in a few seconds are a flood."""
    wire = await Wire.open(limited.port)
    for _ in range(100):
        wire.writer.write(frame(PING, b"x") + frame(PONG, b""))
    for _ in range(100):
        assert await wire.next() == (PONG, b"x")
    wire.writer.write(frame(TEXT, b"ping"))
    assert await wire.next() == (TEXT, b"OK Pong")
    wire.writer.write(frame(PONG, b"") * 500)
    assert await wire.close_code() == 4502


async def test_who_signs_in_may_send_large_frames_at_once(limited: RealServer, wires: None) -> None:
    """What follows `auth` without waiting for its answer is judged when that is known."""
    known_one = await known(limited.url, "frank")
    await known_one.close()
    wire = await Wire.open(limited.port)
    auth = frame(TEXT, b"auth frank secret-frank")
    wire.writer.write(auth + frame(TEXT, b"ping" + b" " * 100_000))
    assert (await wire.next())[1].startswith(b"OK ")
    assert await wire.next() == (TEXT, b"OK Pong")
    wire.writer.write(frame(TEXT, b"logout") + frame(TEXT, b"ping"))
    assert (await wire.next())[1].startswith(b"OK ")
    assert await wire.next() == (TEXT, b"OK Pong")
    wire.writer.write(frame(TEXT, b"ping" + b" " * 20_000))
    assert await wire.close_code() == 1009


@pytest.mark.parametrize("pieces", [1, 2, 40])
@pytest.mark.parametrize(("size", "code"), [(16 * 1024, None), (16 * 1024 + 1, 1009)])
async def test_strangers_have_frames_of_16_kib(
    limited: RealServer, wires: None, pieces: int, size: int, code: int | None
) -> None:
    """Whole or in fragments; they could hold 2 MiB each."""
    wire = await Wire.open(limited.port)
    step = -(-size // pieces)
    for start in range(0, size, step):
        piece = (b"ping" + b" " * (size - 4))[start : start + step]
        last = start + step >= size
        wire.writer.write(frame(0 if start else TEXT, piece, fin=last))
    if code is None:
        assert await wire.next() == (TEXT, b"OK Pong")
    else:
        assert await wire.close_code() == code


async def test_a_client_that_is_closed_for_a_large_frame_learns_why(limited: RealServer) -> None:
    client = await RawClient.open(limited.url)
    await client.socket.send("x" * 1_000_000)
    await client.socket.wait_closed()
    assert client.socket.close_code == 1009
    assert "sign-in" in (client.socket.close_reason or "")
