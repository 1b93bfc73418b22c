"""Tasks that nobody awaits are kept, and their failures do not vanish."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from shared.background_tasks import BackgroundTasks


async def test_a_task_is_kept_until_it_ends() -> None:
    tasks = BackgroundTasks()
    go_on = asyncio.Event()
    ended = tasks.start(go_on.wait())
    await asyncio.sleep(0)
    gc.collect()
    assert len(tasks) == 1 and list(tasks) == [ended]
    go_on.set()
    assert await ended
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_a_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise KeyError("gone")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait([BackgroundTasks().start(fail())])
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.getMessage() == "a background task failed"
    assert record.exc_info is not None and isinstance(record.exc_info[1], KeyError)


async def test_what_is_cancelled_has_not_failed() -> None:
    failures: list[BaseException] = []
    tasks = BackgroundTasks(failures.append)
    waiting = tasks.start(asyncio.Event().wait())
    tasks.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(0)
    assert waiting.cancelled() and not failures and len(tasks) == 0
