"""Token buckets: what may be used at once, and how fast that comes back."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable

from shared.protocol.errors import ChatError, ErrorCode

MAX_ROUNDING = 1e-6
"""What adding up fractions may be off."""
MAX_IDLE_BUCKETS = 10_000
"""Buckets in memory before the full ones, which say nothing, are forgotten."""


class Buckets:
    """One bucket for each key: `burst` at once, then `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._levels: dict[Hashable, tuple[float, float]] = {}
        self._sweep_above = MAX_IDLE_BUCKETS

    def take(self, key: Hashable, amount: float = 1.0) -> None:
        """Take from the key's bucket.

        Raises:
            ChatError: RATE_LIMITED, with the seconds until there is enough.
        """
        if wait := self.wait(key, amount):
            raise rate_limited(wait)
        self.spend(key, amount)

    def wait(self, key: Hashable, amount: float = 1.0) -> float:
        """Return the seconds until there is enough; 0 if there is."""
        missing = amount - self._level(key, time.monotonic())
        return missing / self._rate if missing > MAX_ROUNDING else 0.0

    def spend(self, key: Hashable, amount: float = 1.0) -> None:
        """Take more than there is, if need be: it was found out only now."""
        now = time.monotonic()
        self._levels[key] = (self._level(key, now) - amount, now)
        if len(self._levels) > self._sweep_above:
            self._forget_full(now)
            self._sweep_above = max(MAX_IDLE_BUCKETS, 2 * len(self._levels))

    def overdraw(self, key: Hashable, amount: float = 1.0) -> float:
        """Take also more than there is, and return the seconds until the debt is paid.

        Whoever waits for that long has taken their turn behind all those before them (GCRA,
        ITU-T I.371).
        """
        self.spend(key, amount)
        return self.wait(key, 0.0)

    def _level(self, key: Hashable, now: float) -> float:
        level, since = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - since) * self._rate)

    def give_back(self, key: Hashable, amount: float = 1.0) -> None:
        """Undo a `take` that turned out to cost nothing."""
        if key in self._levels:
            level, since = self._levels[key]
            self._levels[key] = (min(self._burst, level + amount), since)

    def _forget_full(self, now: float) -> None:
        self._levels = {
            key: (level, since)
            for key, (level, since) in self._levels.items()
            if level + (now - since) * self._rate < self._burst
        }


class Allowance:
    """One bucket that may be overdrawn: what is spent is known only afterwards."""

    __slots__ = ("_burst", "_rate", "_since", "level")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._since = now
        self.level = burst

    def refill(self, now: float) -> float:
        """Return what is there at a time that does not run back."""
        self.level = min(self._burst, self.level + (now - self._since) * self._rate)
        self._since = now
        return self.level

    def spend(self, amount: float, now: float) -> None:
        """Take, also more than there is, but owe no more than a burst."""
        level = self.level + (now - self._since) * self._rate
        level = (level if level < self._burst else self._burst) - amount
        self.level = level if level > -self._burst else -self._burst
        self._since = now

    @property
    def full(self) -> bool:
        """Whether nothing was missing at the last `refill`."""
        return self.level >= self._burst


def rate_limited(wait: float, why: str = "That is too fast; wait a little") -> ChatError:
    """Return the refusal that asks to wait `wait` seconds, rounded up to a tenth."""
    return ChatError(
        ErrorCode.RATE_LIMITED,
        why,
        retry_after=max(0.1, math.ceil(round(wait * 10, 6)) / 10),
    )
