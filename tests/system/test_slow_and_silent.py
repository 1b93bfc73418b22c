"""Peers that do not read or do not speak harm nobody else (contract, sections 1 and 8)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import time
from pathlib import Path

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import Chat
from tests.system.wire import (
    BINARY,
    CONTINUATION,
    GONE,
    HANDSHAKE,
    MIB,
    PING,
    TEXT,
    Wire,
    frame,
    say,
)

GROWTH = 24 * MIB
"""What one bad peer may cost in memory; its 4 MiB and what the system keeps for reuse."""
pytestmark = pytest.mark.usefixtures("wires")


def memory(server: RealServer) -> int:
    """Return the bytes of main memory that the server has."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) * 1024


needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="memory is read from /proc"
)


async def connections(server: RealServer) -> int:
    """Return how many WebSockets the server says are open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    text = (await asyncio.wait_for(reader.read(), 20)).decode()
    writer.close()
    found = re.search(r"^\S*connections (\d+)", text, re.MULTILINE)
    assert found is not None, text
    return int(found.group(1))


@needs_proc
async def test_who_never_reads_is_closed_with_4000_and_syncs_later(
    server: RealServer, chat: Chat
) -> None:
    """Contract 8: 4000 when more than 4 MiB wait; nobody else is delayed, nothing is lost."""
    alice = await RawClient.signed_in(server.url, "alice")
    bob = await RawClient.signed_in(server.url, "bob")
    await bob.close()
    slow = await Wire.signed_in(server.port, "bob", small=True)
    before = memory(server)
    text = "x" * 16_000
    sent = 0
    for _ in range(45):
        for _ in range(16):
            await alice.send("send", to="bob", text=text)
            sent += 1
        for _ in range(16):
            assert (await alice.reply())["seq"] <= sent
        await chat.talk()
    assert sent * len(text) > 10 * MIB
    assert memory(server) - before < GROWTH
    # Its close frame stands behind what it did not read: cut off without one is as well.
    assert await slow.close_code() in (4000, None)
    chat.assert_unharmed()
    bob = await RawClient.signed_in(server.url, "bob", register=False)
    have = 0
    while True:
        page = await bob.ask("sync", have={"alice": have})
        assert page["recovered"] is True
        for message in page["messages"]:
            assert (message["seq"], message["text"]) == (have + 1, text)
            have += 1
        if not page["more"]:
            break
    assert have == sent
    await alice.close()
    await bob.close()


def pour(port: int, flood: bytes, seconds: float) -> int:
    """Send a flood and read nothing, in a thread of its own; return how many bytes were taken."""
    poured = 0
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(0.2)
        sock.connect(("127.0.0.1", port))
        sock.sendall(HANDSHAKE)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                poured += sock.send(flood)
            except TimeoutError:
                continue
            except OSError:
                break
    return poured


@needs_proc
@pytest.mark.parametrize(
    ("flood", "limits"),
    [
        pytest.param(say("ping") * 500, "on", id="limited"),
        pytest.param(say("ping") * 500, "off", id="commands"),
        pytest.param(say("nonsense") * 500, "off", id="errors"),
        pytest.param(frame(TEXT, b"help") * 500, "off", id="long-answers"),
        pytest.param(frame(PING, b"x" * 125) * 500, "off", id="pings"),
        pytest.param(frame(BINARY, b"x") * 500, "off", id="binary"),
        pytest.param(
            frame(TEXT, b"{", fin=False) + frame(CONTINUATION, b"", fin=False) * 5_000,
            "off",
            id="fragments",
        ),
    ],
)
async def test_who_sends_but_never_reads_costs_bounded_memory_and_delays_nobody(
    tmp_path: Path, flood: bytes, limits: str
) -> None:
    """Contract 8: replies and pongs that nobody takes count as what waits, too."""
    server = RealServer(tmp_path, "--rate-limits", limits)
    server.start()
    try:
        carol = await RawClient.signed_in(server.url, "carol")
        dave = await RawClient.signed_in(server.url, "dave")
        chat = Chat(carol, dave)
        await chat.talk()
        before = memory(server)
        grown = 0
        pouring = asyncio.create_task(asyncio.to_thread(pour, server.port, flood, 1.0))
        while not pouring.done():
            await chat.talk()
            grown = max(grown, memory(server) - before)
            await asyncio.sleep(0.02)
        print(f"poured {await pouring:,} bytes, grew by {grown:,}, {max(chat.seconds):.2f} s")
        await carol.close()
        await dave.close()
        assert grown < GROWTH
        chat.assert_unharmed()
    finally:
        server.kill()


async def test_a_byte_a_second_is_no_handshake(server: RealServer, chat: Chat) -> None:
    """DESIGN: a handshake has 10 s; who takes longer is cut off."""
    wire = await Wire.connect(server.port)

    async def drip() -> None:
        with contextlib.suppress(*GONE):
            for byte in HANDSHAKE:
                wire.writer.write(bytes((byte,)))
                await asyncio.sleep(1)

    dripping = asyncio.create_task(drip())
    taken = await wire.cut_within(14)
    dripping.cancel()
    assert taken > 5
    await chat.talk()


async def test_two_hundred_who_open_and_say_nothing_harm_nobody(
    server: RealServer, chat: Chat
) -> None:
    """DESIGN: connections that wait cost next to nothing; half of them never shake hands."""
    before = await connections(server)
    for _ in range(100):
        await Wire.connect(server.port)
        await Wire.open(server.port)
    for _ in range(100):
        await chat.talk()
    chat.assert_unharmed()
    assert await connections(server) >= before + 100


async def test_who_does_not_answer_a_close_is_cut_off(server: RealServer) -> None:
    """A peer that ignores our close frame must not hold its connection for ever."""
    before = await connections(server)
    for data, code in (
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x" * (MIB + 1)), 1009),
        (frame(3, b""), 1002),
    ):
        wire = await Wire.open(server.port)
        wire.writer.write(data)
        assert await wire.close_code() == code
    for _ in range(80):
        if await connections(server) <= before:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{await connections(server) - before} connections still live")
