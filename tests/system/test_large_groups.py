"""Churn in a group of 5,000, and its list of members, are not felt by others at another address."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests.realserver import RealServer
from tests.system.bystanders import Chat, known
from tests.system.strangers import opened
from tests.system.wire import say

CROWD = 4_900
EVES = [f"eve{number}" for number in range(8)]
SECONDS = 3.0
NOTICED, WORST = 0.02, 0.1
"""Seconds of a median, and of the slowest of a hundred, that nobody notices."""
Script = list[tuple[str, bytes]]
"""Who signs in, and what they say again and again."""
CHURN: Script = [
    *((eve, say("invitegroup", group="#1", user=f"mal-{eve}")) for eve in EVES),
    *((f"mal-{eve}", say("leavegroup", group="#1")) for eve in EVES),
]
KICKS: Script = [
    (
        "eve0",
        say("invitegroup", group="#1", user="mal-eve0") + say("kick", group="#1", user="mal-eve0"),
    )
]
LISTS: Script = [(eve, say("members", group="#1")) for eve in EVES]


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[RealServer]:
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    yield server
    server.kill()


def fill(server: RealServer) -> None:
    """Put CROWD people into group 1, who are never there."""
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        (group,) = database.execute("SELECT id FROM conversations WHERE number = 1").fetchone()
        database.executemany(
            "INSERT INTO users (id, name, key, real_name, country, password, admin, created)"
            " VALUES (?, ?, ?, 'x', 'x', '', 0, 0)",
            [(id, f"somebody-{id}", f"somebody-{id}") for id in range(1_000, 1_000 + CROWD)],
        )
        database.executemany(
            "INSERT INTO members (conversation_id, user_id, owner, place, joined_seq, read_seq,"
            " received_seq) VALUES (?, ?, 0, ?, 0, 0, 0)",
            [(group, id, id) for id in range(1_000, 1_000 + CROWD)],
        )
        database.execute("UPDATE conversations SET version = version + 1")
        database.commit()


async def felt(chat: Chat, seconds: float) -> tuple[float, float]:
    """Talk for a while, and return the median and the 99th percentile of a message's way."""
    chat.seconds = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await chat.talk()
        await asyncio.sleep(0.01)
    ordered = sorted(chat.seconds)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


def repeat(port: int, script: Script, begun: Event, stop: Event) -> None:
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


async def beside(server: RealServer, chat: Chat, script: Script) -> tuple[float, float]:
    """Return what others feel while a script runs."""
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


@pytest.mark.parametrize(
    "script", [CHURN, KICKS, LISTS], ids=["invite and leave", "invite and kick", "members"]
)
async def test_what_a_large_group_costs_is_not_felt_by_others(
    limited: RealServer, script: Script
) -> None:
    """Churn took others' sends from 4 ms to 112, a list of members 41, and its first second 70."""
    names = [*EVES, *(f"mal-{eve}" for eve in EVES)]
    people = [await known(limited.url, name) for name in names]
    await people[0].ask("creategroup", name="crowd")
    for eve in EVES[1:]:
        await people[0].ask("invitegroup", group="#1", user=eve)
    for person in people:
        await person.close()
    limited.stop()
    fill(limited)
    limited.start()
    chat = Chat(await known(limited.url, "carol"), await known(limited.url, "dave"))
    quiet = await felt(chat, 2)
    found = await beside(limited, chat, script)
    print(
        f"quiet {quiet[0] * 1000:.1f} ms, p99 {quiet[1] * 1000:.1f}; "
        f"beside it {found[0] * 1000:.1f}, p99 {found[1] * 1000:.1f}"
    )
    assert found[0] < max(3 * quiet[0], NOTICED)
    assert found[1] < max(3 * quiet[1], WORST)
    assert "Traceback" not in limited.log
    await chat.carol.close()
    await chat.dave.close()
