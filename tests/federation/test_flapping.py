"""Realms that link and disconnect repeatedly."""

from __future__ import annotations

import time
from pathlib import Path

from tests.federation.impostor import Impostor, Refused
from tests.realserver import RealServer

AT_ONCE = 20


async def test_a_realm_that_links_again_and_again_is_told_to_wait_and_fills_no_log(
    tmp_path: Path,
) -> None:
    """Each link causes writes and three log lines: once 200 lines a second from one address."""
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    try:
        begun = time.monotonic()
        for _ in range(AT_ONCE):
            flapping = await Impostor.linked(server.url, "mallory")
            await flapping.say(kind="open", log="log-1", have={"log": "", "number": 0})
            await flapping.socket.send('{"kind":"forged"}')
            await flapping.closed_with()
            await flapping.close()
        refused = 0
        for _ in range(10):
            try:
                flapping = await Impostor.linked(server.url, "mallory")
            except Refused as why:
                assert str(why).startswith("rate_limited")
                refused += 1
            else:
                await flapping.close()
        assert refused >= 10 - 1 - (time.monotonic() - begun) / 5
        assert server.log.count("a link was broken off") == AT_ONCE
        # Another realm may link meanwhile.
        other = await Impostor.linked(server.url, "other")
        await other.open()
        await other.close()
    finally:
        server.kill()


async def test_without_limits_a_realm_may_link_as_often_as_it_likes(tmp_path: Path) -> None:
    server = RealServer(tmp_path, "--rate-limits", "off")
    server.start()
    try:
        for _ in range(2 * AT_ONCE):
            again = await Impostor.linked(server.url, "mallory")
            await again.close()
    finally:
        server.kill()
