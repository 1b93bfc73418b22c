"""Delays before reconnecting."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays in seconds between attempts: random, below bounds that double.

    Source: "full jitter" of M. Brooker, Exponential Backoff and Jitter (AWS Architecture Blog,
    2015): clients that lost the same server do not all reconnect at once.
    """

    def __init__(
        self, first: float = 0.5, most: float = 30.0, *, chance: Callable[[], float] = random.random
    ) -> None:
        self._first = self._bound = first
        self._most = most
        self._chance = chance

    def next(self, least: float = 0.0) -> float:
        """Return the next delay: 0 to `first`, then 0 to twice that, and so on up to `most`; at
        least `least`."""
        delay = self._chance() * self._bound
        self._bound = min(2 * self._bound, self._most)
        return max(delay, least)

    def reset(self) -> None:
        """Start again from `first`: the connection has proved stable."""
        self._bound = self._first
