"""Turns on the event loop: each address has one, however many connections it has.

What comes in small amounts is done at once (`Connection.data_received`). An address that takes more
than its share of the loop waits in a ring with others like it; each pass of the loop goes round for
a few milliseconds. Strangers wait there, too, while their budget is empty.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter

from ws_server.net.budgets import Budget, Job

PASS_SECONDS = 0.004
"""Of the loop, for all turns in one pass of it."""
TURN_SECONDS = 0.001
"""Of that, for one turn of those who have signed in."""
REST_FACTOR, LONGEST_REST = 3, 0.1
"""Times of a turn that took more than a pass, for which its address rests; at most so many seconds.
One large frame may take that, and no frame can be cut into turns."""
REST_SECONDS = 0.01
"""Until it is looked again whether those who wait may go on."""


class Rounds:
    """The ring of those whose connections wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on: bool) -> None:
        """Begin with an empty ring.

        Args:
            on: Whether strangers have budgets.
        """
        self._loop = loop
        self._on = on
        self._ring: deque[Budget] = deque()
        self._next: asyncio.Handle | None = None

    def add(self, job: Job) -> None:
        """Let a job have its turns until it has no more to do; it must not be waiting already."""
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
        self._next = self._loop.call_soon(self._go_round)

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
        """Let one stranger, or those who have signed in, do a little; return the time after it.

        They alternate. None means that all of them have to wait.
        """
        turn.strangers_next = not turn.strangers_next
        if turn.stranger_jobs and (turn.strangers_next or not turn.jobs):
            stranger = self._choose(turn, begun)
            if stranger is not None:
                # By the clock: on a busy machine the time of the loop is dearer for everybody.
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
        """Return which stranger's turn it is; None if all of them have to wait."""
        waiting = turn.stranger_jobs
        affords = not self._on or turn.affords(now)
        for _ in range(len(waiting)):
            job = waiting.popleft()
            # Somebody who has signed in since has no budget to wait for.
            if not job.careful or (affords and job.ready and self._affords(job.budget, now)):
                return job
            waiting.append(job)
        return None

    def _affords(self, budget: Budget, now: float) -> bool:
        return not self._on or budget is budget.turn or budget.affords(now)


def _step(turn: Budget, job: Job) -> float:
    """Let a job do a little, and return the time after it."""
    if job.step():
        (turn.stranger_jobs if job.careful else turn.jobs).append(job)
    return perf_counter()
