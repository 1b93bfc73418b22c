"""Peers that do not read, do not speak or speak nonsense harm nobody else (contract, 1 and 8)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer

MIB = 2**20
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
GROWTH = 24 * MIB
"""What one bad peer may cost in memory; its 4 MiB and what the system keeps for reuse."""
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GONE = (OSError, EOFError, asyncio.IncompleteReadError)


def frame(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """Return one client frame; the mask is zero, so the payload stays readable."""
    first = bytes((opcode | (0x80 if fin else 0),))
    bit, size = (0x80 if masked else 0), len(payload)
    if size < 126:
        head = bytes((bit | size,))
    elif size < 65_536:
        head = bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        head = bytes((bit | 127,)) + size.to_bytes(8, "big")
    return first + head + (bytes(4) if masked else b"") + payload


def say(command: str, **arguments: Any) -> bytes:
    """Return the frame of a command in the JSON dialect."""
    return frame(TEXT, orjson.dumps({"command": command, **arguments}))


class Wire:
    """A WebSocket down to its bytes, that does nothing by itself: no pong, no reading."""

    opened: list[Wire] = []
    """Those of the running test, which drops them at its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, *, small: bool = False) -> Wire:
        """Connect; `small` gives the system little room for what is not read."""
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2048 if small else MIB)
        wire = cls(reader, writer)
        cls.opened.append(wire)
        return wire

    @classmethod
    async def open(cls, port: int, *, small: bool = False) -> Wire:
        """Connect and do the opening handshake."""
        wire = await cls.connect(port, small=small)
        wire.writer.write(HANDSHAKE)
        answer = await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 20)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        return wire

    @classmethod
    async def signed_in(cls, port: int, name: str, *, small: bool = False) -> Wire:
        wire = await cls.open(port, small=small)
        wire.writer.write(say("auth", user=name, password=f"secret-{name}"))
        assert (await wire.reply())["status"] == "OK"
        return wire

    async def next(self, limit: float = 20) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload."""
        async with asyncio.timeout(limit):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 15, await self.reader.readexactly(size)

    async def reply(self) -> dict[str, Any]:
        """Return the next text frame that is no event."""
        while True:
            opcode, payload = await self.next()
            if opcode == TEXT and "event" not in (body := orjson.loads(payload)):
                return dict(body)

    async def close_code(self, limit: float = 20) -> int | None:
        """Read up to the end and return the close code; None if it was cut without one."""
        try:
            async with asyncio.timeout(limit):
                while True:
                    opcode, payload = await self.next(limit)
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2], "big")
        except GONE:
            return None

    async def cut_within(self, limit: float) -> float:
        """Read until the server has ended the TCP connection; return after how many seconds."""
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(limit):
                while await self.reader.read(65_536):
                    pass
        taken = time.monotonic() - begun
        assert taken < limit, "the connection still lives"
        return taken

    def drop(self) -> None:
        self.writer.transport.abort()


def memory(server: RealServer) -> int:
    """Return the bytes of main memory that the server has."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) * 1024


@pytest.fixture(autouse=True)
async def _wires() -> AsyncIterator[None]:
    """Drop all wires when a test ends, however it ends."""
    yield
    for wire in Wire.opened:
        wire.drop()
    Wire.opened.clear()
    await asyncio.sleep(0)


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


class Chat:
    """Two people who talk, and how long each message took to arrive."""

    def __init__(self, carol: RawClient, dave: RawClient) -> None:
        self.carol = carol
        self.dave = dave
        self.seconds: list[float] = []

    async def talk(self) -> None:
        """Send one message and see it arrive."""
        begun = time.monotonic()
        sent = await self.carol.ask("send", to="dave", text="still well?")
        assert (await self.dave.event("message"))["id"] == sent["message_id"]
        self.seconds.append(time.monotonic() - begun)

    def assert_unharmed(self) -> None:
        ordered = sorted(self.seconds)
        assert ordered[len(ordered) // 2] < 0.5, ordered
        assert ordered[-1] < 3, ordered


async def known(url: str, name: str) -> RawClient:
    """Sign in somebody who may have registered in an earlier test."""
    client = await RawClient.open(url)
    password = f"secret-{name}"
    await client.say("register", user=name, real_name=name, password=password, country="Peru")
    await client.ask("auth", user=name, password=password)
    return client


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server for all tests here but the floods, as it has to outlive every bad peer."""
    server = RealServer(tmp_path_factory.mktemp("lasting"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def chat(lasting_server: RealServer) -> AsyncIterator[Chat]:
    """Carol and dave, who should notice nothing."""
    carol, dave = [await known(lasting_server.url, name) for name in ("carol", "dave")]
    both = Chat(carol, dave)
    await both.talk()
    yield both
    await carol.close()
    await dave.close()


@needs_proc
async def test_who_never_reads_is_closed_with_4000_and_syncs_later(
    lasting_server: RealServer, chat: Chat
) -> None:
    """Contract 8: 4000 when more than 4 MiB wait; nobody else is delayed, nothing is lost."""
    alice = await RawClient.signed_in(lasting_server.url, "alice")
    bob = await RawClient.signed_in(lasting_server.url, "bob")
    await bob.close()
    slow = await Wire.signed_in(lasting_server.port, "bob", small=True)
    before = memory(lasting_server)
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
    assert memory(lasting_server) - before < GROWTH
    # Its close frame stands behind what it did not read: cut off without one is as well.
    assert await slow.close_code() in (4000, None)
    chat.assert_unharmed()
    bob = await RawClient.signed_in(lasting_server.url, "bob", register=False)
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


async def test_a_byte_a_second_is_no_handshake(lasting_server: RealServer, chat: Chat) -> None:
    """DESIGN: a handshake has 10 s; who takes longer is cut off."""
    wire = await Wire.connect(lasting_server.port)

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
    lasting_server: RealServer, chat: Chat
) -> None:
    """DESIGN: connections that wait cost next to nothing; half of them never shake hands."""
    before = await connections(lasting_server)
    for _ in range(100):
        await Wire.connect(lasting_server.port)
        await Wire.open(lasting_server.port)
    for _ in range(100):
        await chat.talk()
    chat.assert_unharmed()
    assert await connections(lasting_server) >= before + 100


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"send bob \xff\xfe"), id="text"),
        pytest.param(frame(TEXT, b'{"command": "ping", "id": "\xc3"}'), id="json"),
        pytest.param(frame(TEXT, b'{"command": "ping"} \x80'), id="behind-json"),
        pytest.param(frame(TEXT, b"\xed\xa0\x80"), id="surrogate"),
        pytest.param(
            frame(TEXT, b"send bob \xc3", fin=False) + frame(CONTINUATION, b"("), id="fragments"
        ),
    ],
)
async def test_wrong_utf8_closes_with_1007(
    lasting_server: RealServer, chat: Chat, data: bytes
) -> None:
    """RFC 6455, 8.1: text that is not UTF-8 fails the connection, and this one alone."""
    wire = await Wire.open(lasting_server.port)
    wire.writer.write(data)
    assert await wire.close_code() == 1007
    await chat.talk()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"x" * (MIB + 1)), id="whole"),
        pytest.param(
            frame(TEXT, b"x" * MIB, fin=False) + frame(CONTINUATION, b"x"), id="fragments"
        ),
        pytest.param(b"\x81\xff" + (2**62).to_bytes(8, "big") + bytes(4), id="announced"),
    ],
)
async def test_a_frame_over_1_mib_closes_with_1009(
    lasting_server: RealServer, chat: Chat, data: bytes
) -> None:
    """Contract 1: a larger frame closes its connection with 1009, and no other."""
    wire = await Wire.open(lasting_server.port)
    with contextlib.suppress(OSError):
        wire.writer.write(data)
        await wire.writer.drain()
    assert await wire.close_code() == 1009
    await chat.talk()


async def test_a_frame_of_1_mib_is_read(lasting_server: RealServer) -> None:
    """Contract 1: frames are at most 1 MiB; this one is answered."""
    wire = await Wire.open(lasting_server.port)
    body = orjson.dumps({"command": "ping", "id": "big"})
    wire.writer.write(frame(TEXT, body + b" " * (MIB - len(body))))
    assert (await wire.reply())["id"] == "big"


async def test_who_does_not_answer_a_close_is_cut_off(lasting_server: RealServer) -> None:
    """A peer that ignores our close frame must not hold its connection for ever."""
    before = await connections(lasting_server)
    for data, code in (
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x" * (MIB + 1)), 1009),
        (frame(3, b""), 1002),
    ):
        wire = await Wire.open(lasting_server.port)
        wire.writer.write(data)
        assert await wire.close_code() == code
    for _ in range(80):
        if await connections(lasting_server) <= before:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{await connections(lasting_server) - before} connections still live")


async def test_binary_frames_are_answered_not_disconnected(lasting_server: RealServer) -> None:
    """Contract 1: binary frames get `bad_command`, whole, empty or in fragments."""
    wire = await Wire.open(lasting_server.port)
    wire.writer.write(say("format", dialect="json"))
    await wire.next()
    wire.writer.write(frame(BINARY, b"\x00\xff"))
    assert (await wire.reply())["code"] == "bad_command"
    wire.writer.write(frame(BINARY, b""))
    assert (await wire.reply())["code"] == "bad_command"
    wire.writer.write(frame(BINARY, b"\xff", fin=False) + frame(CONTINUATION, b"\xff"))
    assert (await wire.reply())["code"] == "bad_command"
    wire.writer.write(say("ping", id="alive"))
    assert (await wire.reply())["id"] == "alive"


async def test_fragments_make_one_command(lasting_server: RealServer) -> None:
    """RFC 6455, 5.4: fragments may split anything, and control frames may come between."""
    wire = await Wire.open(lasting_server.port)
    body = orjson.dumps({"command": "ping", "id": "ünïcödé"})
    for at, byte in enumerate(body):
        last = at == len(body) - 1
        wire.writer.write(frame(CONTINUATION if at else TEXT, bytes((byte,)), fin=last))
        if at == 5:
            wire.writer.write(frame(PING, b"between"))
    assert await wire.next() == (PONG, b"between")
    assert (await wire.reply())["id"] == "ünïcödé"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(3, b"x"), id="unknown-data-opcode"),
        pytest.param(frame(11, b"x"), id="unknown-control-opcode"),
        pytest.param(frame(CONTINUATION, b"x"), id="continuation-of-nothing"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), id="text-inside-text"),
        pytest.param(frame(PING, b"x" * 126), id="long-ping"),
        pytest.param(frame(PING, b"x", fin=False), id="ping-in-fragments"),
        pytest.param(frame(TEXT, b"ping", masked=False), id="unmasked"),
        pytest.param(b"\xf1\x80" + bytes(4), id="reserved-bits"),
    ],
)
async def test_a_wrong_frame_closes_its_own_connection_with_1002(
    lasting_server: RealServer, chat: Chat, data: bytes
) -> None:
    """RFC 6455, 7.4.1: a protocol error is 1002; the log shows no traceback."""
    wire = await Wire.open(lasting_server.port)
    wire.writer.write(data)
    assert await wire.close_code() == 1002
    await chat.talk()
    assert "Traceback" not in lasting_server.log


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(os.urandom(2_000), id="noise"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="tls"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", id="many-headers"),
        pytest.param(b"GET /" + b"a" * 100_000, id="long-line"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", id="post"),
    ],
)
async def test_what_is_no_handshake_is_refused(
    lasting_server: RealServer, chat: Chat, data: bytes
) -> None:
    """Contract 3: nothing from the network puts a traceback into the log."""
    wire = await Wire.connect(lasting_server.port)
    with contextlib.suppress(OSError):
        wire.writer.write(data)
        await wire.writer.drain()
        if data.startswith(b"\x16"):
            wire.writer.write_eof()
    await wire.cut_within(12)
    await chat.talk()
    assert "Traceback" not in lasting_server.log
