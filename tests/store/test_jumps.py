"""After a jump of the wall clock, no upload or content is removed too early."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.store.journaling import commit
from tests.world import World
from ws_server import housekeeping
from ws_server.store.contents import files
from ws_server.store.contents.files import UPLOAD_LIFE, OpenUpload
from ws_server.store.entries import Mutation
from ws_server.store.schema import uploads

NOW = 1_800_000_000_000
YEAR = 365 * 24 * 3600


async def begin(world: World, id: str, now: int) -> None:
    wanted = OpenUpload(id, 1, "bob", "a.txt", 3, id * 32, None, False, now)
    write = Mutation(lambda tx, _: files.open_upload(tx, wanted, now, 9, lambda id: False))
    await commit(world.realm.journal, write)


def left(tx: Connection) -> dict[str, int]:
    """Return the last activity of each upload."""
    rows = tx.execute(select(uploads.c.id, uploads.c.touched))
    return {row.id: row.touched for row in rows}


async def forget(world: World, now: int, *, jumped: bool) -> dict[str, int]:
    await world.realm.journal.write(lambda tx, _: files.forget_abandoned(tx, now, jumped))
    return await world.realm.database.read(left)


async def test_a_clock_that_jumped_ended_uploads_under_way(world: World) -> None:
    await begin(world, "u1", NOW)
    ahead = NOW + YEAR * 1000
    assert await forget(world, ahead, jumped=True) == {"u1": ahead}
    assert await forget(world, ahead + UPLOAD_LIFE + 1, jumped=False) == {}


async def test_an_upload_begun_while_the_clock_was_ahead_stayed_for_a_year(world: World) -> None:
    await begin(world, "u1", NOW + YEAR * 1000)
    await begin(world, "u2", NOW)
    assert await forget(world, NOW + 1, jumped=False) == {"u1": NOW + 1, "u2": NOW}
    assert await forget(world, NOW + UPLOAD_LIFE + 2, jumped=False) == {}


async def test_contents_stay_in_the_sweep_behind_a_jump(world: World) -> None:
    """Their age is unknown then; a message that refers to one may be about to be written."""
    sha256 = world.realm.blobs.put(b"content")
    os.utime(world.realm.blobs.path(sha256), (0, 0))
    await housekeeping.sweep(world.realm, age=3600, jumped=True)
    assert world.realm.blobs.path(sha256).exists()
    await housekeeping.sweep(world.realm, age=3600)
    assert not world.realm.blobs.path(sha256).exists()


@pytest.mark.parametrize(
    "wall, steady, jumped",
    [
        (3600, 3600, False),
        (3630, 3600, False),  # corrected by half a minute
        (3600 + YEAR, 3600, True),
        (3600 - YEAR, 3600, True),
    ],
)
async def test_housekeeping_notices_a_jump(
    world: World, monkeypatch: pytest.MonkeyPatch, wall: float, steady: float, jumped: bool
) -> None:
    swept: asyncio.Queue[bool] = asyncio.Queue()

    async def sweep(realm: Any, age: float, jumped: bool) -> None:
        await swept.put(jumped)

    class Clocks:
        walls, steadies = iter([10.0, 10.0 + wall]), iter([0.0, steady])

        def time(self) -> float:
            return next(self.walls, 0.0)

        def monotonic(self) -> float:
            return next(self.steadies, 0.0)

    monkeypatch.setattr(housekeeping, "HOUSEKEEPING", 0.01)
    monkeypatch.setattr(housekeeping, "sweep", sweep)
    monkeypatch.setattr(housekeeping, "time", Clocks())
    task = asyncio.create_task(housekeeping.keep_house(world.realm))
    async with asyncio.timeout(10):
        assert await swept.get() is jumped
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
