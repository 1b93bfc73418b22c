"""A histogram of durations, counted as they happen, for `/metrics`."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds: from a commit on a fast disk to a wait that users take for a failure."""


class Durations:
    """The number of durations up to each bound, and their sum in seconds."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        """The sum in seconds."""

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return (bound, how many were at most that long) with rising bounds, the last `+Inf`."""
        bounds = [*map(str, BOUNDS), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))
