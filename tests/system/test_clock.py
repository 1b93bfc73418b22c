"""A real server whose wall clock jumps: nothing freezes, goes back or ends early."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.admin.command import done
from tests.rawclient import RawClient
from tests.shifted import ShiftedServer

pytestmark = pytest.mark.system

YEAR = 365 * 24 * 3600
MARGIN = 10_000
"""Milliseconds that a busy machine may need between two steps of a test."""


@pytest.fixture
async def server(tmp_path: Path, database_url: str) -> AsyncIterator[ShiftedServer]:
    made = ShiftedServer(tmp_path, "--database", database_url)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.kill)


async def sent(client: RawClient, to: str) -> int:
    """Send a message and return its time."""
    return int((await client.ask("send", to=to, text="hi"))["time"])


def now() -> int:
    return int(time.time() * 1000)


async def chats(client: RawClient) -> list[str]:
    listed = await client.ask("listpc")
    return [chat["conversation"] for chat in listed["conversations"]]


@pytest.mark.parametrize("ahead", [YEAR, 100 * YEAR], ids=["a year", "a century"])
async def test_a_clock_that_was_ahead_froze_all_conversations_until_a_restart(
    server: ShiftedServer, ahead: int
) -> None:
    alice, bob, carol = [
        await RawClient.signed_in(server.url, name) for name in ("alice", "bob", "carol")
    ]
    before = await sent(alice, "carol")
    server.off_by(ahead)
    wrong = await sent(alice, "bob")
    assert wrong >= before + ahead * 1000
    server.off_by(0)
    right = await sent(alice, "carol")
    assert before <= right < before + MARGIN
    assert await chats(alice) == ["carol", "bob"]
    begun = time.monotonic()
    first = await sent(bob, "alice")
    await asyncio.sleep(0.2)  # what the clocks are to show
    second = await sent(alice, "bob")
    passed = (time.monotonic() - begun) * 1000
    assert wrong < first
    assert 200 <= second - first <= passed + 1
    assert await sent(carol, "bob") - now() < MARGIN
    assert await chats(alice) == ["bob", "carol"]

    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    alice = await RawClient.signed_in(server.url, "alice", register=False)
    times = [await sent(alice, "bob") for _ in range(3)]
    assert [second, *times] == sorted({second, *times})
    assert times[-1] - wrong < 4 * MARGIN
    assert abs(await sent(alice, "carol") - now()) < MARGIN
    page = await alice.ask("history", conversation="bob", limit=50)
    told = [message["time"] for message in page["messages"]]
    assert told == sorted(set(told))


async def test_a_clock_that_goes_back_a_year_stops_nothing(
    server: ShiftedServer, tmp_path: Path
) -> None:
    alice = await RawClient.signed_in(server.url, "alice")
    bob = await RawClient.signed_in(server.url, "bob")
    before = await sent(alice, "bob")
    content = b"x" * 100
    upload = await alice.ask(
        "upload",
        to="bob",
        name="a.txt",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    server.off_by(-YEAR)
    token = (await alice.ask("auth", user="alice", password="secret-alice"))["token"]
    assert before < await sent(alice, "bob") < before + MARGIN
    assert [event["text"] for event in await bob.settled()] == ["hi", "hi"]
    up = done("status", data=server.data).partition("up: ")[2].split()[0]
    assert 0 <= int(up) < 60
    # What was begun before the jump ends behind it, and a session goes on.
    half = len(content) // 2
    for at in (0, half):
        data = base64.b64encode(content[at : at + half]).decode()
        taken = await alice.ask("chunk", upload=upload["upload"], offset=at, data=data)
    assert taken["seq"] == 3
    again = await RawClient.open(server.url)
    assert (await again.ask("resume", token=token))["user"] == "alice"
    missed = await again.ask("sync", have={})
    assert [message["seq"] for message in missed["messages"]] == [1, 2, 3]
