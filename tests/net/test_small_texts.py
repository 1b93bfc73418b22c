"""Small texts are read without the library's parser, and must be read as it reads them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from tests.system.wire import BINARY, CONTINUATION, PING, TEXT, frame
from ws_server.net.frame_bounds import small_text


def text(payload: bytes) -> bytes:
    """Return a client's frame, masked at random as clients must."""
    return Frame(Opcode.TEXT, payload).serialize(mask=True)


def by_the_library(data: bytes) -> list[bytes]:
    """Return the payloads of the whole texts that the library's parser finds."""
    protocol = Protocol(Side.SERVER, state=State.OPEN)
    protocol.receive_data(data)
    found = [f for f in protocol.events_received() if isinstance(f, Frame)]
    return [bytes(f.data) for f in found if f.opcode is Opcode.TEXT and f.fin]


def in_small_texts(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of the small texts at the beginning."""
    start = 0
    while (found := small_text(data, start)) is not None:
        payload, start = found
        yield payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 255, 256, 1024, 65_535])
def test_a_small_text_is_read_as_the_library_reads_it(size: int) -> None:
    payload = random.Random(size).randbytes(size)
    data = text(payload)
    assert small_text(data, 0) == (payload, len(data))
    assert by_the_library(data) == [payload]


def test_texts_in_one_piece_are_read_up_to_the_first_incomplete_one() -> None:
    chance = random.Random(7)
    payloads = [chance.randbytes(chance.choice((3, 90, 125, 126, 400))) for _ in range(40)]
    data = b"".join(text(payload) for payload in payloads)
    for end in range(0, len(data), 11):
        assert list(in_small_texts(data[:end])) == by_the_library(data[:end])
    assert list(in_small_texts(data)) == payloads


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame(TEXT, b"hi", fin=False), id="fragment"),
        pytest.param(frame(CONTINUATION, b"hi"), id="continuation"),
        pytest.param(frame(BINARY, b"hi"), id="binary"),
        pytest.param(frame(PING, b"hi"), id="ping"),
        pytest.param(frame(Opcode.CLOSE, b""), id="close"),
        pytest.param(b"\xc1" + frame(TEXT, b"hi")[1:], id="compressed"),
        pytest.param(frame(TEXT, b"hello there", masked=False), id="unmasked"),
        pytest.param(frame(TEXT, b"x" * 65_536), id="large"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_all_other_frames_are_left_to_the_library(data: bytes) -> None:
    assert small_text(data, 0) is None
