"""Pace of downloads: the window, the rate, and the delay before a retry after `later`.

The window follows the queueing delay of the pieces (LEDBAT, RFC 6817, section 2.4), so messages
are not delayed on a slow link. The rate bounds the traffic of a fast link.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

from shared.bounded import BoundedDict
from ws_server.federation.contents.content_server import RATE

FIRST_WINDOW, MAX_WINDOW = 2.0, 16.0
"""Pieces requested and not yet on disk: at the beginning of a link, and at most."""
TARGET = 0.1
"""Seconds of queueing delay for a piece; above, the window shrinks."""
FIRST_DELAY, MAX_DELAY = 1.0, 60.0
"""Seconds before a retry for a content that the peer has not received itself: first and most."""
MAX_RESTING = 500
"""Contents whose retry may be delayed; beyond, the oldest is retried at once."""


class FetchWindow:
    """The window and the rate of the downloads from one realm."""

    def __init__(self) -> None:
        self._size = FIRST_WINDOW
        self._fastest = math.inf
        self.next_at = -math.inf
        """When the next piece may be requested, by the loop's clock."""

    def restart(self) -> None:
        """Reset the window for a new link."""
        self._size, self._fastest = FIRST_WINDOW, math.inf

    def allows(self, pieces: int) -> bool:
        """Return whether another piece may be requested while `pieces` are in flight."""
        return pieces < int(self._size)

    def answered(self, seconds: float) -> None:
        """Adapt the window to a piece that arrived `seconds` after its request."""
        self._fastest = min(self._fastest, seconds)
        self._size += (1 - (seconds - self._fastest) / TARGET) / self._size
        self._size = min(MAX_WINDOW, max(1.0, self._size))

    def asked(self, size: int, now: float) -> None:
        """Schedule the next request after one for a piece of `size` bytes."""
        self.next_at = now + size / RATE


class Rests:
    """Contents that the peer has not received itself; their retries are delayed."""

    def __init__(self, rested: Callable[[], None]) -> None:
        """Args: `rested` is called when a content may be requested again."""
        self._rested = rested
        self._resting: set[str] = set()
        self._delays: BoundedDict[str, float] = BoundedDict(
            MAX_RESTING, lambda oldest, _: self._resting.discard(oldest)
        )
        """Seconds of each content's last delay."""

    def begin(self, sha256: str) -> None:
        """Delay the retry of a content, each time twice as long as before."""
        delay = min(MAX_DELAY, self._delays.get(sha256, FIRST_DELAY / 2) * 2)
        self._delays[sha256] = delay
        self._resting.add(sha256)
        wait = delay * random.uniform(0.7, 1.3)
        asyncio.get_running_loop().call_later(wait, self._end, sha256)

    def _end(self, sha256: str) -> None:
        self._resting.discard(sha256)
        self._rested()

    def forget(self, sha256: str) -> None:
        """Reset the delay of a content that has arrived."""
        self._delays.pop(sha256, None)

    def clear(self) -> None:
        """Remove all delays."""
        self._resting.clear()
        self._delays.clear()

    @property
    def resting(self) -> list[str]:
        """The hashes of the contents whose retry is delayed."""
        return list(self._resting)
