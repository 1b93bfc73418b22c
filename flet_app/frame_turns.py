"""Rate limits by address: a burst at once, then one turn after the other."""

from __future__ import annotations

import time

MAX_IDLE_BUCKETS = 10_000
"""Addresses kept before those with all their turns available are dropped."""


class Turns:
    """`burst` turns at once for each key, then `rate` a second (GCRA, ITU-T I.371)."""

    def __init__(self, rate: float, burst: float) -> None:
        self._each = 1 / rate
        self._burst = burst / rate
        self._next: dict[str, float] = {}

    def wait(self, key: str) -> float:
        """Reserve a turn; return the seconds to wait for it."""
        now = time.monotonic()
        if len(self._next) > MAX_IDLE_BUCKETS:
            self._next = {key: at for key, at in self._next.items() if at > now}
        at = max(now, self._next.get(key, now)) + self._each
        self._next[key] = at
        return max(0.0, at - now - self._burst)
