"""A server that starts with its machine: the monotonic clock, which counts from the boot, is small.

What never happened must not pass for something that happened at 0, which then was not long ago.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer

BOOT = """
import time

_shown, _boot = time.monotonic, time.monotonic()
time.monotonic = lambda: _shown() - _boot
"""


class JustBooted(RealServer):
    """A server process whose monotonic clock began with it."""

    program = EXECUTED

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(BOOT)
        path = os.pathsep.join(map(str, (folder, ROOT)))
        super().__init__(folder, *options, environment={"PYTHONPATH": path})


@pytest.fixture
async def booted(tmp_path: Path) -> AsyncIterator[list[RealServer]]:
    """Alpha and beta."""
    names = ("alpha", "beta")
    servers: list[RealServer] = [JustBooted(tmp_path / n, "--realm", n) for n in names]
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
        yield servers


async def test_a_group_is_made_elsewhere_right_after_the_boot(booted: list[RealServer]) -> None:
    alpha, beta = booted
    ana = await RawClient.signed_in(alpha.url, "ana")
    bea = await RawClient.signed_in(beta.url, "bea")
    await ana.ask("addrealm", name="beta", address="127.0.0.1", port=beta.port)
    made = [await ana.ask("creategroup", name="team", realm="beta") for _ in range(2)]
    assert made[0]["group"] != made[1]["group"], "both were answered, so they are two"
    group = made[0]["group"]
    await ana.ask("invitegroup", group=group, user="bea@beta")
    await bea.event("group")
    sent = await ana.ask("sendg", group=group, text="hi")
    assert (sent["seq"], sent["state"]) == (1, "delivered")
    assert (await bea.event("message"))["text"] == "hi"
    sent = await ana.ask("send", to="bea@beta", text="hi")
    assert sent["state"] == "delivered"
    for client in (ana, bea):
        await client.close()
    for server in booted:
        assert "Traceback" not in server.log


async def test_limits_hold_right_after_the_boot(tmp_path: Path) -> None:
    """Nobody has used anything up, and nobody's errors are old."""
    server = JustBooted(tmp_path / "alpha", "--rate-limits", "on")
    try:
        await asyncio.to_thread(server.start)
        ana = await RawClient.signed_in(server.url, "ana")
        for _ in range(100):
            assert (await ana.say("send", to="nobody", text="hi"))["code"] == "unknown_user"
        for number in range(3):
            wrong = await ana.say("auth", user="ana", password=f"wrong-{number}")
            assert wrong["code"] == "bad_credentials"
        assert (await ana.ask("send", to="ana", text="hi"))["seq"] == 1
        await ana.close()
    finally:
        server.kill()
