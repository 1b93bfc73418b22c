"""How fast contents are asked for: the window, the rate, and pauses after "not yet".

The window follows the delay that pieces meet (LEDBAT, RFC 6817, section 2.4), so that a narrow link
stays free for texts. The rate bounds what a fast link carries.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

from shared.bounded import BoundedDict
from ws_server.federation.contents.content_server import RATE

FIRST_WINDOW, MAX_WINDOW = 2.0, 16.0
"""Pieces asked for and not yet on disk: at the beginning of a link, and at most."""
TARGET = 0.1
"""Seconds that a piece may wait for others; the window shrinks above."""
FIRST_DELAY, MAX_DELAY = 1.0, 60.0
"""Seconds before a realm is asked again for what it has not got yet itself."""
MAX_RESTING = 500
"""Contents that may rest so; more of them are asked for sooner."""


class FetchWindow:
    """The window and the pace of what comes from one realm."""

    def __init__(self) -> None:
        self._size = FIRST_WINDOW
        self._fastest = math.inf
        self.next_at = -math.inf
        """When the next piece may be asked for, by the loop's clock."""

    def restart(self) -> None:
        """Begin anew, on another link."""
        self._size, self._fastest = FIRST_WINDOW, math.inf

    def allows(self, pieces: int) -> bool:
        """Tell whether one more may be on its way besides so many."""
        return pieces < int(self._size)

    def answered(self, seconds: float) -> None:
        """A piece took so long to come."""
        self._fastest = min(self._fastest, seconds)
        self._size += (1 - (seconds - self._fastest) / TARGET) / self._size
        self._size = min(MAX_WINDOW, max(1.0, self._size))

    def asked(self, size: int, now: float) -> None:
        """A piece of so many bytes was asked for."""
        self.next_at = now + size / RATE


class Rests:
    """Contents that the other realm has not got yet itself."""

    def __init__(self, rested: Callable[[], None]) -> None:
        """Args: `rested` is called when one may be asked for again."""
        self._rested = rested
        self._resting: set[str] = set()
        self._delays: BoundedDict[str, float] = BoundedDict(
            MAX_RESTING, lambda oldest, _: self._resting.discard(oldest)
        )
        """Seconds for which they rested the last time."""

    def begin(self, sha256: str) -> None:
        """Let a content rest, each time twice as long as before."""
        delay = min(MAX_DELAY, self._delays.get(sha256, FIRST_DELAY / 2) * 2)
        self._delays[sha256] = delay
        self._resting.add(sha256)
        wait = delay * random.uniform(0.7, 1.3)
        asyncio.get_running_loop().call_later(wait, self._end, sha256)

    def _end(self, sha256: str) -> None:
        self._resting.discard(sha256)
        self._rested()

    def forget(self, sha256: str) -> None:
        """A content is here."""
        self._delays.pop(sha256, None)

    def clear(self) -> None:
        """Let none rest any more."""
        self._resting.clear()
        self._delays.clear()

    @property
    def resting(self) -> list[str]:
        """The hashes of those that rest."""
        return list(self._resting)
