"""Polling for conditions without an event, and running many jobs a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PAUSE = 0.02


async def until(condition: Callable[[], bool], limit: float) -> bool:
    """Return whether the condition became true within `limit` seconds."""
    for _ in range(round(limit / PAUSE)):
        if condition():
            return True
        await asyncio.sleep(PAUSE)
    return condition()


async def each(
    work: Callable[[Item], Awaitable[Result]], items: Iterable[Item], limit: int
) -> list[Result]:
    """Run the work for every item, at most `limit` at a time; results are in the items' order."""
    results: dict[int, Result] = {}
    queue = enumerate(items)

    async def worker() -> None:
        for index, item in queue:
            results[index] = await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(limit):
            workers.create_task(worker())
    return [results[index] for index in range(len(results))]
