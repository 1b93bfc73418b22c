"""Whose jobs run in threads, and when."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from ws_server.threads import DEPOSIT, PAID_BURST, SWITCH_SECONDS, FairThreadPool, switch_often


@pytest.fixture
def turns() -> Iterator[FairThreadPool]:
    made = FairThreadPool("test", 4, each_at_once=2, most=1_000, most_each=1_000)
    yield made
    made.close()


def work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.slow
async def test_many_accounts_of_one_address_pay_for_their_time_together(
    turns: FairThreadPool,
) -> None:
    """Eight accounts that asked for dear pages took the interpreter for minutes."""
    begun = time.thread_time()
    jobs = [
        asyncio.create_task(turns.run(f"eve {n % 8}", lambda: work(0.05), "192.0.2.66"))
        for n in range(100)
    ]
    done, _ = await asyncio.wait(jobs, timeout=3 * PAID_BURST)
    # What is paid back is half of each second, and what runs when it is spent may end.
    assert len(done) * 0.05 < PAID_BURST + 0.5 * (3 * PAID_BURST) + 0.5
    others = [turns.run("ana", lambda: "hers", "192.0.2.1"), turns.run("admin", lambda: "his")]
    assert await asyncio.wait_for(asyncio.gather(*others), 1) == ["hers", "his"]
    assert turns.waiting > 0
    assert time.thread_time() - begun < 1
    for job in jobs:
        job.cancel()


async def test_a_new_network_starts_few_jobs_as_nobody_knows_their_cost_yet(
    turns: FairThreadPool,
) -> None:
    """Sixteen accounts of a network that had spent nothing ran 64 expensive questions at once."""
    runs: list[int] = []

    def answer(questions: Sequence[int]) -> Sequence[None]:
        runs.append(len(questions))
        work(0.05 * len(questions))
        return [None] * len(questions)

    jobs = [asyncio.create_task(turns.share(n, answer, n, "192.0.2.66")) for n in range(64)]
    await asyncio.sleep(0)
    assert 1 < 64 - turns.waiting <= PAID_BURST / 2 / DEPOSIT + 1
    await asyncio.wait(jobs, timeout=1)
    # Half of the time is spent: one job at a time, also of those that can run together.
    assert set(runs[len(runs) // 2 :]) == {1}
    others = [asyncio.create_task(turns.share(f"ana {n}", answer, n)) for n in range(16)]
    await asyncio.wait(others, timeout=5)
    assert max(runs) > PAID_BURST / 2 / DEPOSIT + 1  # who pays for nothing
    for job in jobs:
        job.cancel()


async def test_who_has_spent_too_much_goes_on_when_it_is_paid_back(turns: FairThreadPool) -> None:
    for _ in range(2):
        await turns.run("eve", lambda: work(PAID_BURST * 0.6), "192.0.2.66")
    waited = turns.run("eve", lambda: "hers", "192.0.2.66")
    assert await asyncio.wait_for(waited, 10) == "hers"


@pytest.mark.slow
async def test_a_job_that_fails_is_paid_for_and_its_error_is_told(turns: FairThreadPool) -> None:
    def fail() -> None:
        work(PAID_BURST * 1.5)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await turns.run("eve", fail, "192.0.2.66")
    later = asyncio.create_task(turns.run("eve", lambda: None, "192.0.2.66"))
    await asyncio.sleep(0)
    assert turns.waiting == 1 and not later.done()
    await later


def test_the_event_loop_waits_little_for_threads_that_run_python() -> None:
    before = sys.getswitchinterval()
    try:
        switch_often()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    finally:
        sys.setswitchinterval(before)
