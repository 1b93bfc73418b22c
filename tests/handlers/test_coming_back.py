"""People who come back: with many conversations, and many at once; what it costs everybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest
from sqlalchemy import Connection

from tests.handlers.test_crowds import add_conversations, add_people
from tests.world import Person, World
from ws_server.store.accounts import tokens

pytestmark = pytest.mark.slow

MANY_AT_ONCE = 2_500
SIGN_IN_SECONDS = 0.5
"""Of CPU: what coming back with thousands of conversations may cost, JSON and all."""
HOLD_UP_SECONDS = 0.05
"""Of CPU: what one step of the event loop may take, for everybody waits meanwhile."""


class Loop:
    """Measures the CPU time of the event loop's longest step, however busy the machine is."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._since = 0.0
        self._goes_on = True

    def step(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._since)
        self._since = now
        if self._goes_on:
            asyncio.get_running_loop().call_soon(self.step)

    @contextmanager
    def measured(self) -> Iterator[None]:
        self._since = time.thread_time()
        self.step()
        yield
        self._goes_on = False


async def come_back(person: Person, token: str) -> int:
    """Resume, sync and list, as an app does; return how many conversations were named."""
    await person.ask("resume", token=token)
    chats = (await person.ask("listpc"))["conversations"]
    synced = await person.ask("sync", have={chat["conversation"]: 1 for chat in chats})
    assert synced["recovered"] is True
    return len(synced["conversations"])


async def test_somebody_with_thousands_of_conversations_held_everybody_up(world: World) -> None:
    (bob,) = await world.log_in("bob")
    assert bob.session.account is not None
    me = bob.session.account.id
    await world.realm.journal.write(lambda tx, now: add_conversations(tx, "chats", me, ""))
    await come_back(world.connect(), bob.token)  # statements are compiled once
    loop = Loop()
    with loop.measured():
        await come_back(world.connect("198.51.100.7"), bob.token)
    assert loop.longest < HOLD_UP_SECONDS, loop.longest
    # Apart from that, as the probe keeps a core busy, and a reader waits for it at each row.
    began = time.process_time()
    assert await come_back(world.connect("203.0.113.7"), bob.token) > 1_000
    took = time.process_time() - began
    assert took < SIGN_IN_SECONDS, took


async def test_two_thousand_from_one_address_came_back_at_once_and_were_refused(
    world: World,
) -> None:
    everybody = range(1_000, 1_000 + MANY_AT_ONCE)

    def add(tx: Connection, now: int) -> None:
        add_people(tx, everybody.start, MANY_AT_ONCE)
        for id in everybody:
            tokens.add_token(tx, id, tokens.hash_token(f"token {id}"), now)

    await world.realm.journal.write(add)
    frames = [orjson.dumps({"command": "resume", "token": f"token {id}"}) for id in everybody]
    replies = await asyncio.gather(*(world.connect().say(frame) for frame in frames))
    assert [reply for reply in replies if reply["status"] != "OK"] == []
