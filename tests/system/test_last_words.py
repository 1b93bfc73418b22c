"""What arrived whole before a connection ended is carried out, in its order, however it ended.

Commands that follow a slow one wait in the server, and so did not go lost only by chance.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.wire import CLOSE, GONE, MIB, TEXT, Wire, frame, say

pytestmark = pytest.mark.usefixtures("wires")
LIMIT = 20.0


GOODBYE = frame(CLOSE, (1000).to_bytes(2, "big"))


async def frames(wire: Wire) -> list[Any]:
    """Return all that comes up to the end: texts as JSON, a Close by its code."""
    found: list[Any] = []
    with contextlib.suppress(*GONE):
        while True:
            opcode, payload = await wire.next(LIMIT)
            if opcode == CLOSE:
                found.append(int.from_bytes(payload[:2], "big"))
            elif opcode == TEXT:
                found.append(json.loads(payload))
    return found


async def a_person(server: RealServer, name: str) -> RawClient:
    return await RawClient.signed_in(server.url, name)


async def texts_of(person: RawClient, count: int) -> list[str]:
    """Wait until a person has so many notes, and return them."""
    async with asyncio.timeout(LIMIT):
        while True:
            page = await person.ask("history", conversation="ana", limit=200)
            if len(page["messages"]) >= count:
                return [message["text"] for message in page["messages"]]
            await person.event("message")


def talk(count: int) -> bytes:
    """Return frames of somebody who signs in, which is slow, and then talks to herself."""
    words = [say("auth", user="ana", password="secret-ana"), say("history", conversation="ana")]
    words += [say("send", to="ana", text=str(number)) for number in range(count)]
    return b"".join([*words, say("history", conversation="ana", limit=1)])


async def end_with_a_close(writer: asyncio.StreamWriter) -> None:
    writer.write(GOODBYE)


async def close_and_be_gone(writer: asyncio.StreamWriter) -> None:
    writer.write(GOODBYE)
    writer.close()


async def end_the_stream(writer: asyncio.StreamWriter) -> None:
    writer.write_eof()


async def be_gone(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    writer.transport.abort()


ENDS = [end_with_a_close, close_and_be_gone, end_the_stream, be_gone, reset]


@pytest.mark.parametrize("whole", [True, False], ids=["in one piece", "frame by frame"])
@pytest.mark.parametrize("count", [1, 190])
@pytest.mark.parametrize("end", ENDS)
async def test_what_was_sent_before_the_end_is_carried_out(
    real_server: RealServer, end: Any, count: int, whole: bool
) -> None:
    ana = await a_person(real_server, "ana")
    wire = await Wire.open(real_server.port)
    writer = wire.writer
    said = talk(count)
    if whole:
        writer.write(said)
    else:
        for at in range(0, len(said), 61):
            writer.write(said[at : at + 61])
            await writer.drain()
            await asyncio.sleep(0)
    await end(writer)
    assert await texts_of(ana, count) == [str(number) for number in range(count)]
    if end in (end_with_a_close, end_the_stream):
        replies = await frames(wire)
        assert replies[-1] == 1000 or end is end_the_stream
        commands = [reply["command"] for reply in replies if isinstance(reply, dict)]
        assert commands == ["auth", "history", *["send"] * count, "history"]
        assert replies[count + 2]["messages"][0]["text"] == str(count - 1)
    await ana.close()


async def test_the_client_of_the_readme_may_be_fed_by_a_pipe(
    real_server: RealServer, tmp_path: Path
) -> None:
    ana = await a_person(real_server, "ana")
    lines = tmp_path / "lines"
    lines.write_text("auth ana secret-ana\nhistory ana\nsend ana one\nsend ana two\n")
    client = f"{sys.executable} -m websockets {real_server.url} < {lines}"
    process = await asyncio.create_subprocess_shell(client, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    assert await texts_of(ana, 2) == ["one", "two"]
    await ana.close()


async def test_who_has_gone_gets_no_events_and_is_not_there(real_server: RealServer) -> None:
    """Only what they asked is answered, though others write to them meanwhile."""
    ana = await a_person(real_server, "ana")
    bob = await a_person(real_server, "bob")
    wire = await Wire.open(real_server.port)
    writer = wire.writer
    asked = [say("history", conversation="ana", limit=200) for _ in range(20)]
    writer.write(say("auth", user="ana", password="secret-ana"))
    assert (await wire.reply())["status"] == "OK"
    writer.write(b"".join([*asked, GOODBYE]))
    for number in range(20):
        await bob.ask("send", to="ana", text=str(number))
    *told, code = await frames(wire)
    assert code == 1000
    assert [one.get("command") for one in told if "event" not in one] == ["history"] * 20
    for client in (ana, bob):
        await client.close()


async def test_a_token_that_ends_meanwhile_ends_what_was_still_to_be_done(
    real_server: RealServer,
) -> None:
    """Whoever changes the password because somebody else has it, stops that one at once."""
    ana = await a_person(real_server, "ana")
    wire = await Wire.open(real_server.port)
    writer = wire.writer
    slow = say("auth", user="ana", password="a-wrong-one")
    sends = b"".join(say("send", to="ana", text="stolen") for _ in range(50))
    writer.write(say("auth", user="ana", password="secret-ana"))
    await wire.next()
    # Each is a hash of its own, one after the other; the change of the password takes two.
    writer.write(slow * 40 + sends + GOODBYE)
    await writer.drain()
    await ana.ask("passwd", old_password="secret-ana", new_password="secret-new")
    await frames(wire)
    page = await ana.ask("history", conversation="ana")
    assert page["messages"] == []
    await ana.close()


async def test_the_server_stops_in_time_and_has_carried_out_what_came(
    real_server: RealServer,
) -> None:
    ana = await a_person(real_server, "ana")
    await ana.close()
    ends = [await Wire.open(real_server.port) for _ in range(5)]
    for wire in ends:
        wire.writer.write(talk(20))
    # One answer shows that the server has read what came in the same piece.
    for wire in ends:
        await wire.next()
    assert await asyncio.to_thread(real_server.stop, 5) == 0
    for wire in ends:
        assert (await frames(wire))[-1] == 1001
    real_server.start()
    ana = await RawClient.signed_in(real_server.url, "ana", register=False)
    assert sorted(await texts_of(ana, 100)) == sorted([str(n) for n in range(20)] * 5)
    await ana.close()


async def test_many_who_leave_with_work_undone_leave_nothing_behind(
    real_server: RealServer,
) -> None:
    ana = await a_person(real_server, "ana")
    for _ in range(30):
        writer = (await Wire.open(real_server.port)).writer
        writer.write(talk(5))
        await writer.drain()
        writer.transport.abort()
    assert len(await texts_of(ana, 150)) == 150
    await ana.close()
    assert real_server.stop(5) == 0
    assert "Traceback" not in real_server.log


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(TEXT, b"\xff\xfe"), 1007),
        (b"\xff" * 7, 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(TEXT, b"x" * (MIB + 1)), 1009),
    ],
    ids=["not UTF-8", "no frame", "half a code", "too large"],
)
async def test_what_was_sent_before_a_broken_frame_is_carried_out_without_an_error(
    real_server: RealServer, broken: bytes, code: int
) -> None:
    """After the server's own Close the answers of the journal have nowhere to go."""
    ana = await a_person(real_server, "ana")
    wire = await Wire.open(real_server.port)
    wire.writer.write(talk(3) + broken)
    wire.writer.write_eof()
    assert code in await frames(wire)
    assert await texts_of(ana, 3) == ["0", "1", "2"]
    await ana.close()
    assert real_server.stop(5) == 0
    assert "level=error" not in real_server.log
