"""Memory that has a bound: the newest entries of a dict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """A dict of at most `most` entries: one more, and the oldest is forgotten.

    Setting a key makes its entry the newest one, whether the key is new or not.
    """

    __slots__ = ("_forgotten", "_most")

    def __init__(self, most: int, forgotten: Callable[[K, V], None] | None = None) -> None:
        """Make an empty one.

        Args:
            most: Entries kept, at least 1.
            forgotten: Called with each entry that the bound removes.
        """
        super().__init__()
        self._most = most
        self._forgotten = forgotten

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            # A plain dict would look for its first entry behind all those it has lost.
            oldest = self.popitem(last=False)
            if self._forgotten is not None:
                self._forgotten(*oldest)
