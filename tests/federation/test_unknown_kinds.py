"""Frames of kinds that only a newer version of the protocol has."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.federation.handmade import HandmadeRealm
from tests.federation.people import operate
from tests.realserver import RealServer


async def test_frames_of_unknown_kinds_are_read_slowly(tmp_path: Path) -> None:
    """A newer version may send unknown kinds, but not by the thousand."""
    beta = RealServer(tmp_path, "--rate-limits", "on")
    beta.start()
    try:
        mallory = HandmadeRealm()
        await mallory.dial(beta)
        await operate(beta, "realm approve", name="mallory")
        begun = time.monotonic()
        for _ in range(600):
            await mallory.say(kind="news")
        await mallory.say(kind="still")
        assert (await mallory.hear("here"))["kind"] == "here"
        # The burst is 476 frames, then 95 a second.
        assert time.monotonic() - begun > 0.5
        await mallory.hang_up()
    finally:
        beta.kill()


async def test_frames_of_unknown_kinds_from_a_strangers_realm_soon_wait(tmp_path: Path) -> None:
    beta = RealServer(tmp_path, "--rate-limits", "on")
    beta.start()
    try:
        mallory = HandmadeRealm()
        await mallory.dial(beta)
        for number in range(80):
            await mallory.say(kind="news", number=number)
        await mallory.say(kind="still")
        assert (await mallory.hear("here"))["kind"] == "here"
        # The burst is 95 frames, then one in two seconds.
        for number in range(40):
            await mallory.say(kind="news", number=number)
        await mallory.say(kind="still")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await mallory.hear("here")
        await mallory.hang_up()
    finally:
        beta.kill()
