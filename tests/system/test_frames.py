"""Frames that are wrong, too large or in pieces, and what is no WebSocket (contract, section 1)."""

from __future__ import annotations

import contextlib
import os

import orjson
import pytest

from tests.realserver import RealServer
from tests.system.bystanders import Chat
from tests.system.wire import BINARY, CONTINUATION, MIB, PING, PONG, TEXT, Wire, frame, say

pytestmark = pytest.mark.usefixtures("wires")


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
async def test_wrong_utf8_closes_with_1007(server: RealServer, chat: Chat, data: bytes) -> None:
    """RFC 6455, 8.1: text that is not UTF-8 fails the connection, and this one alone."""
    wire = await Wire.open(server.port)
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
    server: RealServer, chat: Chat, data: bytes
) -> None:
    """Contract 1: a larger frame closes its connection with 1009, and no other."""
    wire = await Wire.open(server.port)
    with contextlib.suppress(OSError):
        wire.writer.write(data)
        await wire.writer.drain()
    assert await wire.close_code() == 1009
    await chat.talk()


async def test_a_byte_order_mark_before_a_frame_is_passed_over(server: RealServer) -> None:
    """Programs that send a file of Windows line by line send its mark too."""
    wire = await Wire.open(server.port)
    for data in (b"\xef\xbb\xbfping", b'\xef\xbb\xbf{"command":"ping"}'):
        wire.writer.write(frame(TEXT, data))
        assert b"Pong" in (await wire.next())[1]
    wire.writer.close()


async def test_a_frame_of_1_mib_is_read(server: RealServer) -> None:
    """Contract 1: frames are at most 1 MiB; this one is answered."""
    wire = await Wire.open(server.port)
    body = orjson.dumps({"command": "ping", "id": "big"})
    wire.writer.write(frame(TEXT, body + b" " * (MIB - len(body))))
    assert (await wire.reply())["id"] == "big"


async def test_binary_frames_are_answered_not_disconnected(server: RealServer) -> None:
    """Contract 1: binary frames get `bad_command`, whole, empty or in fragments."""
    wire = await Wire.open(server.port)
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


async def test_fragments_make_one_command(server: RealServer) -> None:
    """RFC 6455, 5.4: fragments may split anything, and control frames may come between."""
    wire = await Wire.open(server.port)
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
    server: RealServer, chat: Chat, data: bytes
) -> None:
    """RFC 6455, 7.4.1: a protocol error is 1002; the log shows no traceback."""
    wire = await Wire.open(server.port)
    wire.writer.write(data)
    assert await wire.close_code() == 1002
    await chat.talk()
    assert "Traceback" not in server.log


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
async def test_what_is_no_handshake_is_refused(server: RealServer, chat: Chat, data: bytes) -> None:
    """Contract 3: nothing from the network puts a traceback into the log."""
    wire = await Wire.connect(server.port)
    with contextlib.suppress(OSError):
        wire.writer.write(data)
        await wire.writer.drain()
        if data.startswith(b"\x16"):
            wire.writer.write_eof()
    await wire.cut_within(12)
    await chat.talk()
    assert "Traceback" not in server.log
