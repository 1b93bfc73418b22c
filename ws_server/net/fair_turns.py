"""Fair scheduling on the event loop: one turn per address, for all its connections.

Small reads are processed at once (`Connection.data_received`). An address that exceeds its share of
the loop waits in a round-robin ring; each pass of the loop serves the ring for a few milliseconds.
Strangers also wait in the ring while their budget is exhausted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from time import perf_counter

from ws_server.net.budgets import Budget, Job

PASS_SECONDS = 0.004
"""Time for all turns in one pass of the loop."""
TURN_SECONDS = 0.001
"""Time for one turn of signed-in connections."""
REST_FACTOR, LONGEST_REST = 3, 0.1
"""After a turn longer than PASS_SECONDS, its address rests for the turn's time multiplied by the
factor, at most LONGEST_REST seconds. One large frame can cause this, because the parsing of a frame
cannot be divided."""
REST_SECONDS = 0.01
"""Time between two checks while all addresses in the ring rest."""


class Rounds:
    """The ring of budgets whose connections wait for a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on: bool) -> None:
        """Start with an empty ring.

        Args:
            on: Whether budgets are enforced.
        """
        self._loop = loop
        self._on = on
        self._ring: deque[Budget] = deque()
        self._next: asyncio.Handle | None = None
        self._context = Context()
        """Of all turns: what they begin is not charged to whoever was the first in the ring."""

    def add(self, job: Job) -> None:
        """Schedule a job until its work is done; the job must not be in the ring already."""
        turn = job.budget.turn
        (turn.stranger_jobs if job.careful else turn.jobs).append(job)
        if not turn.queued:
            turn.queued = True
            self._ring.append(turn)
        if self._next is None or isinstance(self._next, asyncio.TimerHandle):
            self._wake()

    def _wake(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_soon(self._go_round, context=self._context)

    def _go_round(self) -> None:
        self._next = None
        ring = self._ring
        now = perf_counter()
        end = now + PASS_SECONDS
        resting = 0
        while resting < len(ring):
            turn = ring.popleft()
            try:
                after = self._serve(turn, now)
            finally:
                turn.queued = bool(turn.jobs or turn.stranger_jobs)
                if turn.queued:
                    ring.append(turn)
            resting = resting + 1 if after is None else 0
            now = after or now
            if now >= end:
                break
        if ring and self._next is None:
            if resting < len(ring):
                self._next = self._loop.call_soon(self._go_round)
            else:
                self._next = self._loop.call_later(REST_SECONDS, self._go_round)

    def _serve(self, turn: Budget, begun: float) -> float | None:
        """Run one turn of a budget: alternately of one stranger or of its signed-in connections.

        Returns:
            The time after the turn; None if no connection of the budget may run now.
        """
        turn.strangers_next = not turn.strangers_next
        if turn.stranger_jobs and (turn.strangers_next or not turn.jobs):
            stranger = self._choose(turn, begun)
            if stranger is not None:
                # Charge wall time, not CPU time: on a busy machine, strangers get less.
                now = _step(turn, stranger)
                stranger.budget.spend(now - begun, now, known=False)
                return now
        if not turn.jobs or begun < turn.rests_until:
            return None
        for _ in range(len(turn.jobs)):
            job = turn.jobs.popleft()
            if job.step():
                (turn.stranger_jobs if job.careful else turn.jobs).append(job)
            now = perf_counter()
            if now - begun > TURN_SECONDS:
                break
        turn.share.spend(now - begun, now)
        if self._on and now - begun > PASS_SECONDS:
            turn.rests_until = now + min(REST_FACTOR * (now - begun), LONGEST_REST)
        return now

    def _choose(self, turn: Budget, now: float) -> Job | None:
        """Remove and return the next stranger that may run; None if all have to wait."""
        waiting = turn.stranger_jobs
        affords = not self._on or turn.affords(now)
        for _ in range(len(waiting)):
            job = waiting.popleft()
            # A stranger that has signed in since does not need the strangers' budget.
            if not job.careful or (affords and job.ready and self._affords(job.budget, now)):
                return job
            waiting.append(job)
        return None

    def _affords(self, budget: Budget, now: float) -> bool:
        return not self._on or budget is budget.turn or budget.affords(now)


def _step(turn: Budget, job: Job) -> float:
    """Run one step of a job, and return the time after it."""
    if job.step():
        (turn.stranger_jobs if job.careful else turn.jobs).append(job)
    return perf_counter()
