"""Any frame, whole or in fragments, text or binary, against a server process; sections 1 and 8."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from shared.protocol.values import MAX_FRAME
from tests.fuzz.frames import SHA256, Known, any_frame
from tests.fuzz.seeds import RAW, SEEDS
from tests.rawclient import LIMIT, RawClient
from tests.realserver import RealServer

pytestmark = pytest.mark.system
FRAMES = 250
"""Frames by chance in each state."""
LAST = '{"command":"ping","id":"the last one"}'


async def signed_out(client: RawClient, known: Known) -> None:
    """Nobody has signed in."""


async def signed_in(client: RawClient, known: Known) -> None:
    """Alice has signed in."""
    signed = await client.ask("auth", user="alice", password="secret-alice")
    known.tokens.append(signed["token"])


async def in_a_group(client: RawClient, known: Known) -> None:
    """Alice owns a group that bob is in."""
    await signed_in(client, known)
    group = (await client.ask("creategroup", name="team"))["group"]
    await client.ask("invitegroup", group=group, user="bob")
    known.groups.append(group)


async def uploading(client: RawClient, known: Known) -> None:
    """Alice has begun to upload, and files are pushed to her."""
    await signed_in(client, known)
    await client.ask("files", mode="push")
    opened = await client.ask("upload", to="bob", name="a", size=2, sha256=SHA256)
    if opened["offset"] == 0:
        await client.ask("chunk", upload=opened["upload"], offset=0, data="aA==")
    known.uploads.append(opened["upload"])


async def with_a_file(client: RawClient, known: Known) -> None:
    """Alice has sent a file to herself."""
    await signed_in(client, known)
    sent = await client.ask("sendfile", to="alice", name="a", data="aGk=")
    known.files.append(sent["file"]["id"])


async def pinned_to_text(client: RawClient, known: Known) -> None:
    """Alice is answered in words, whatever she sends."""
    await signed_in(client, known)
    await client.socket.send("format text")
    assert str(await client.socket.recv()).startswith("OK ")


async def pinned_to_json(client: RawClient, known: Known) -> None:
    """Alice is answered in JSON, whatever she sends."""
    await signed_in(client, known)
    await client.ask("format", dialect="json")


async def signed_out_again(client: RawClient, known: Known) -> None:
    """Alice has signed in and out."""
    await signed_in(client, known)
    await client.ask("logout")


STATES = [
    *(signed_out, signed_in, in_a_group, uploading),
    *(with_a_file, pinned_to_text, pinned_to_json, signed_out_again),
]


@contextlib.asynccontextmanager
async def connected(server: RealServer) -> AsyncIterator[RawClient]:
    """Open a connection, and cut it off whatever happens."""
    client = await RawClient.open(server.url)
    try:
        yield client
    finally:
        client.socket.transport.abort()
        await client.close()


@pytest.fixture
async def witness(server: RealServer) -> AsyncIterator[RawClient]:
    """Bob, on a connection of his own: whatever others send, he is served and nothing is logged."""
    pid, logged = server.pid, len(server.log)
    async with connected(server) as bob:
        for name in ("alice", "bob"):
            account = {"user": name, "real_name": name, "country": "Peru"}
            await bob.say("register", password=f"secret-{name}", **account)
        await bob.ask("auth", user="bob", password="secret-bob")
        yield bob
        await bob.settled()
        async with connected(server) as newcomer:
            await newcomer.ask("ping")
    assert server.pid == pid
    log = server.log[logged:]
    for word in ("Traceback", "exception", "level=error", "Warning"):
        assert word not in log, log[:3_000]


def pieces(chance: Random, frame: str) -> Any:
    """Return the frame as it is sent: whole, in fragments (some empty), or as a binary one."""
    kind = chance.random()
    if kind < 0.1:
        return frame.encode()
    if kind < 0.15:
        return [frame.encode()[:5], b"", frame.encode()[5:]]
    if kind < 0.4:
        cut = chance.randrange(len(frame) + 1)
        return [frame[:cut], "", frame[cut:]]
    return frame


async def throw(client: RawClient, frames: list[Any]) -> int:
    """Send all frames at once; return how many replies come.

    Those to `addrealm` come behind others, when its time is over. So a last frame is sent only once
    there are as many replies as frames, to see whether there are more.
    """

    async def send() -> None:
        for frame in frames:
            await client.socket.send(frame)
        # The connection may be pinned to words.
        await client.socket.send("format json")

    sending = asyncio.create_task(send())
    replies, is_last_sent = 0, False
    async with asyncio.timeout(LIMIT):
        async for frame in client.socket:
            assert isinstance(frame, str)
            replies += frame.startswith(('{"status"', "OK ", "ERROR "))
            assert '"code":"internal"' not in frame and not frame.startswith("ERROR internal")
            if '"id":"the last one"' in frame:
                break
            if replies > len(frames) and not is_last_sent:
                is_last_sent = True
                await sending
                await client.socket.send(LAST)
    return replies - 2


@pytest.mark.parametrize("state", STATES, ids=[state.__name__ for state in STATES])
async def test_every_frame_in_every_state_is_answered_once(
    server: RealServer,
    witness: RawClient,
    state: Callable[[RawClient, Known], Awaitable[None]],
) -> None:
    chance = Random(state.__name__)
    known = Known()
    async with connected(server) as client:
        await state(client, known)
        texts = [known.filled(chance, seed) for seed in SEEDS]
        texts += [any_frame(chance, known, str(number)) for number in range(FRAMES)]
        frames = [pieces(chance, text) for text in texts]
        assert await throw(client, frames) == len(frames)


async def test_a_text_frame_that_is_not_utf_8_closes_its_connection_alone(
    server: RealServer, witness: RawClient
) -> None:
    for raw in RAW:
        for cut in (False, True):
            async with connected(server) as client:
                await client.socket.send([raw[:1], raw[1:]] if cut else raw, text=True)
                with pytest.raises(ConnectionClosed) as closed:
                    await client.socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1007, raw


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("first", ["x", "{"])
async def test_a_frame_over_a_mebibyte_closes_its_connection_alone(
    server: RealServer, witness: RawClient, fragments: int, first: str
) -> None:
    largest = first + "x" * (MAX_FRAME - 1)
    part = "x" * (MAX_FRAME // fragments + 1)
    async with connected(server) as client:
        await client.socket.send(largest)
        assert "bad_command" in str(await client.socket.recv())
        with contextlib.suppress(ConnectionClosed):
            await client.socket.send([part] * fragments if fragments > 1 else part)
        with pytest.raises(ConnectionClosed) as closed:
            await client.socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_a_connection_cut_in_the_middle_of_anything_leaves_nothing_behind(
    server: RealServer, witness: RawClient
) -> None:
    chance = Random(0)
    for number in range(40):
        known = Known()
        async with connected(server) as client:
            await chance.choice(STATES)(client, known)
            for _ in range(chance.randrange(8)):
                await client.socket.send(pieces(chance, any_frame(chance, known, str(number))))
    await witness.ask("ping")
