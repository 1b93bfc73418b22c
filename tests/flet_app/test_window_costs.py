"""The cost of a window in time of the app's event loop, and in memory."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc

import pytest

from flet_app.views.messages import SLICE_BUBBLES
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Message, Page
from tests.flet_app.looking import Open, history
from tests.flet_app.people import arrived, message

pytestmark = pytest.mark.slow

MANY = 5_000


async def test_one_more_of_5000_messages_is_shown_within_50_ms(window: Open) -> None:
    """All that the app's loop does for it: taking the event, showing and packing the change."""
    w = await window({History: history(MANY)})
    w.tell(*(arrived(n) for n in range(1, 11)))
    await w.sees("bob")
    await w.open("bob")
    c = w.host.last
    for n in range(MANY + 1, MANY + 300):
        w.tell(arrived(n))
    await w.unseen.until(lambda: bool(w.looks()) and w.looks()[-1].text == f"text {MANY + 299}")
    assert len(w.looks()) <= SLICE_BUBBLES and c is w.host.last
    took = []
    for n in range(MANY + 300, MANY + 315):
        await asyncio.sleep(0.1)  # for what the last one left to be done
        w.unseen.sent.clear()
        began = time.process_time()
        w.tell(arrived(n))
        await w.unseen.sent.wait()
        await asyncio.sleep(0.05)  # for what is sent after the first change
        took.append(time.process_time() - began)
    assert w.looks()[-1].text == f"text {MANY + 314}"
    assert sorted(took)[len(took) // 2] < 0.05


async def test_a_window_with_5000_messages_takes_less_than_30_mb(window: Open) -> None:
    def long(n: int) -> Message:
        return message(n, text=f"text {n} " + "x" * 500)

    w = await window({History: lambda r: Page("bob", [long(n) for n in range(1, 51)], False)})
    gc.collect()
    tracemalloc.start()
    try:
        more = await window({History: lambda r: Page("bob", [], False)})
        more.tell(arrived(1))
        await more.sees("bob")
        await more.open("bob")
        for n in range(2, MANY):
            more.tell(arrived(n, text=f"text {n} " + "x" * 500))
        await more.unseen.until(
            lambda: bool(more.looks()) and more.looks()[-1].text.startswith(f"text {MANY - 1} ")
        )
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert w is not more and size < 30e6
