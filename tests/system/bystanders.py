"""Two people who talk while others misbehave, and should notice nothing of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from contextlib import suppress
from multiprocessing.synchronize import Event

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.strangers import opened
from tests.system.wire import say

QUIET_SECONDS, SECONDS = 1.0, 3.0
"""How long the others talk before, about 80 messages, and while a script runs."""
NOTICED, WORST = 0.02, 0.3
"""Seconds of a median, and of the slowest of a hundred, that nobody notices."""
Script = list[tuple[str, bytes]]
"""Who signs in, with a connection of their own, and what they say again and again."""


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
        assert ordered[(len(ordered) - 1) // 2] < 0.5, ordered
        assert ordered[-1] < 3, ordered


async def known(url: str, name: str) -> RawClient:
    """Sign in somebody who may have registered in an earlier test."""
    client = await RawClient.open(url)
    password = f"secret-{name}"
    await client.say("register", user=name, real_name=name, password=password, country="Peru")
    await client.ask("auth", user=name, password=password)
    return client


async def felt(chat: Chat, seconds: float) -> tuple[float, float]:
    """Talk for a while, and return the median and the 99th percentile of a message's way."""
    chat.seconds = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await chat.talk()
        await asyncio.sleep(0.01)
    ordered = sorted(chat.seconds)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


async def beside(server: RealServer, chat: Chat, script: Script) -> tuple[float, float]:
    """Return what others feel while a script runs, at another address."""
    context = multiprocessing.get_context("fork")
    begun, stop = context.Event(), context.Event()
    asking = context.Process(target=repeat, args=(server.port, script, begun, stop), daemon=True)
    asking.start()
    try:
        assert await asyncio.to_thread(begun.wait, 60)
        return await felt(chat, SECONDS)
    finally:
        stop.set()
        await asyncio.to_thread(asking.join, 10)
        asking.kill()


def repeat(port: int, script: Script, begun: Event, stop: Event) -> None:
    """Run a script until `stop`, as fast as the server takes it."""
    os.nice(19)  # what is measured is the server, not who gets the processor
    socks = []
    for name, piece in script:
        sock = opened(port, "127.0.0.2")
        assert sock is not None
        sock.sendall(say("auth", user=name, password=f"secret-{name}"))
        sock.recv(4096)
        sock.setblocking(False)
        socks.append((sock, piece, bytearray()))
    begun.set()
    while not stop.is_set():
        for sock, piece, left in socks:
            if not left:
                left += piece
            with suppress(OSError):
                while len(sock.recv(1 << 18)) == 1 << 18:
                    pass
            with suppress(OSError):
                del left[: sock.send(left)]
        time.sleep(0.005)
