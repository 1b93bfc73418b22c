"""How long to wait before connecting again."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays in seconds between attempts: doubling bounds, and a random part of each.

    Source: "full jitter" of M. Brooker, Exponential Backoff and Jitter (AWS Architecture Blog,
    2015): clients that lost one server do not come back all at once.
    """

    def __init__(
        self, first: float = 0.5, most: float = 30.0, *, chance: Callable[[], float] = random.random
    ) -> None:
        self._first = self._bound = first
        self._most = most
        self._chance = chance

    def next(self, least: float = 0.0) -> float:
        """Return the next delay: 0 to `first`, then to twice that, up to `most`; or `least`."""
        delay = self._chance() * self._bound
        self._bound = min(2 * self._bound, self._most)
        return max(delay, least)

    def reset(self) -> None:
        """The connection has proved itself."""
        self._bound = self._first
