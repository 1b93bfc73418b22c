"""Fair scheduling of connections on the event loop."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest

from ws_server.net.budgets import Budget, Budgets
from ws_server.net.fair_turns import LONGEST_REST, Rounds
from ws_server.store.database import current_payer

pytestmark = pytest.mark.slow


class Job:
    """A job with endless work, which records the times of its steps."""

    careful = False
    ready = True

    def __init__(self, budget: Budget, seconds: float) -> None:
        self.budget = budget
        self._seconds = seconds
        self.steps: list[float] = []
        self.stopped = False

    def step(self) -> bool:
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end:
            pass
        self.steps.append(time.perf_counter())
        return not self.stopped


async def test_an_address_whose_frames_take_long_leaves_most_of_the_loop_to_others() -> None:
    """Each pass of the loop parsed a frame for 16 ms, so a message took 55 ms instead of 2."""
    budgets = Budgets(True, 10_000)
    rounds = Rounds(asyncio.get_running_loop(), on=True)
    dear = Job(budgets.of("192.0.2.66"), 0.02)
    rounds.add(dear)
    end = time.perf_counter() + 0.5
    passes = 0
    while time.perf_counter() < end:
        await asyncio.sleep(0)
        passes += 1
    dear.stopped = True
    # A turn of 20 ms, then a rest of 60 ms: at most 7 turns in half a second.
    assert 1 < len(dear.steps) <= 8
    assert passes > 10 * len(dear.steps)
    await asyncio.sleep(2 * LONGEST_REST)


async def test_small_steps_need_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    # Use a simulated clock, because a busy machine may suspend any step for milliseconds.
    clock = count(time.perf_counter(), 0.0002)
    monkeypatch.setattr("ws_server.net.fair_turns.perf_counter", lambda: next(clock))
    budgets = Budgets(True, 10_000)
    rounds = Rounds(asyncio.get_running_loop(), on=True)
    job = Job(budgets.of("192.0.2.1"), 0.0)
    before = job.budget.turn.rests_until
    rounds.add(job)
    for _ in range(50):
        await asyncio.sleep(0)
    job.stopped = True
    assert job.steps
    assert job.budget.turn.rests_until == before
    await asyncio.sleep(2 * LONGEST_REST)


async def test_what_a_turn_begins_was_charged_to_whoever_was_first_in_the_ring() -> None:
    """A write that proves readiness waited for the time of a network that had spent all of its."""
    budgets = Budgets(True, 10_000)
    rounds = Rounds(asyncio.get_running_loop(), on=True)
    charged: list[str | None] = []
    done = asyncio.Event()

    class Other(Job):
        def step(self) -> bool:
            charged.append(current_payer.get())
            done.set()
            return False

    current_payer.set("192.0.2.66")
    rounds.add(Other(budgets.of("192.0.2.1"), 0.0))
    await asyncio.wait_for(done.wait(), 10)
    assert charged == [None]
