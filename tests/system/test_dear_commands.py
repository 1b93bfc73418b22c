"""Accounts of one address ask for what is dear, and nobody at another address notices."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests.realserver import RealServer
from tests.system.bystanders import Chat, known
from tests.system.strangers import opened
from tests.system.wire import TEXT, frame, say

EVES = [f"eve{number}" for number in range(8)]
CONNECTIONS = 32
SECONDS = 3.0
NOTICED = 0.04
"""Seconds of a median that nobody notices, whatever the quiet figure was. Before, it was 0.06 to
0.6, for minutes after the last frame."""
DEAR = {
    "sync-all": say("sync", have={}),
    "sync-names": say("sync", have={f"u{number}": 0 for number in range(4_900)}),
    "keys": frame(
        TEXT, b'{"command":"ping"' + b"".join(b',"%d":1' % n for n in range(90_000)) + b"}"
    ),
    "markers-of-nobody": say("read", conversation="nobody", seq=1) * 50,
    "repeats": say("send", to="eve0", text="x", idempotency_key="same") * 50,
    "nan": frame(TEXT, b'{"command":"ping","a":[' + b"1," * 120_000 + b"NaN]}"),
}


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[RealServer]:
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    yield server
    server.kill()


async def felt(chat: Chat, seconds: float) -> float:
    """Talk for a while, and return the median of how long a message took."""
    chat.seconds = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await chat.talk()
        await asyncio.sleep(0.02)
    return statistics.median(chat.seconds)


def ask_for_much(port: int, piece: bytes, begun: Event, stop: Event) -> None:
    os.nice(19)  # what is measured is the server, not who gets the processor
    socks = []
    for number in range(CONNECTIONS):
        sock = opened(port, "127.0.0.2")
        assert sock is not None
        eve = EVES[number % len(EVES)]
        sock.sendall(say("auth", user=eve, password=f"secret-{eve}"))
        sock.recv(4096)
        sock.setblocking(False)
        socks.append((sock, bytearray()))
    begun.set()
    while not stop.is_set():
        for sock, left in socks:
            if not left:
                left += piece
            with suppress(OSError):
                while len(sock.recv(1 << 18)) == 1 << 18:
                    pass
            with suppress(OSError):
                del left[: sock.send(left)]
        time.sleep(0.05)


@pytest.mark.parametrize("what", DEAR)
async def test_dear_commands_of_many_accounts_of_one_address_are_not_felt_at_another(
    limited: RealServer, what: str
) -> None:
    """`sync` of everything in 64 connections took others' sends from 2 ms to 57 and 570."""
    for name in EVES:
        await (await known(limited.url, name)).close()
    for name, to in zip(EVES, reversed(EVES), strict=True):
        eve = await known(limited.url, name)  # alone, so that nothing is pushed
        for _ in range(100):
            await eve.ask("send", to=to, text='"\n' * 8_000)
        await eve.close()
    chat = Chat(await known(limited.url, "carol"), await known(limited.url, "dave"))
    quiet = await felt(chat, 2)
    context = multiprocessing.get_context("fork")
    begun, stop = context.Event(), context.Event()
    asking = context.Process(
        target=ask_for_much, args=(limited.port, DEAR[what], begun, stop), daemon=True
    )
    asking.start()
    try:
        assert await asyncio.to_thread(begun.wait, 60)
        beside = await felt(chat, SECONDS)
    finally:
        stop.set()
        asking.join(10)
        asking.kill()
    print(f"quiet {quiet * 1000:.1f} ms, beside it {beside * 1000:.1f}")
    assert beside < max(3 * quiet, NOTICED)
    assert "Traceback" not in limited.log
    await chat.carol.close()
    await chat.dave.close()
