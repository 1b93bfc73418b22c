"""Turns for addresses: some at once, the others one after the other."""

from __future__ import annotations

import time

KEPT = 10_000
"""Addresses in memory before those that have all their turns again are forgotten."""


class Turns:
    """`burst` turns at once for each key, then `rate` a second (GCRA, ITU-T I.371)."""

    def __init__(self, rate: float, burst: float) -> None:
        self._each = 1 / rate
        self._burst = burst / rate
        self._next: dict[str, float] = {}

    def wait(self, key: str) -> float:
        """Take a turn, and return the seconds until it comes."""
        now = time.monotonic()
        if len(self._next) > KEPT:
            self._next = {key: at for key, at in self._next.items() if at > now}
        at = max(now, self._next.get(key, now)) + self._each
        self._next[key] = at
        return max(0.0, at - now - self._burst)
