"""Which uploads somebody is sending now, so that another one of equal content leaves them alone.

An upload that broke is resumed by whoever announces the same content for the same recipient again,
under whatever name and key; one that is being sent is not. Only memory has this: after a restart
nobody sends anything.
"""

from __future__ import annotations

import asyncio
import time
from weakref import WeakValueDictionary

from ws_server.net.session import Session

PATIENCE = 30.0
"""Seconds without a chunk after which an upload counts as broken, though its connection is open.
One that only was slow has to begin anew if somebody else took it over."""


class Uploading:
    """The uploads of all users; its methods belong to the event loop, but `is_sent`."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[Session, float]] = {}
        """By upload: its session, and when that last said something of it; the oldest first."""
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def turn(self, user_id: int) -> asyncio.Lock:
        """Return the lock under which a user's uploads are opened, one after the other."""
        return self._turns.setdefault(user_id, asyncio.Lock())

    def heard(self, upload: str, session: Session) -> None:
        """Note that a session sends this upload."""
        now = time.monotonic()
        self._sent.pop(upload, None)
        self._sent[upload] = (session, now)
        while (oldest := next(iter(self._sent))) and now - self._sent[oldest][1] > PATIENCE:
            del self._sent[oldest]

    def is_sent(self, upload: str) -> bool:
        """Tell, in any thread, whether a connection that is there sends this upload."""
        sent = self._sent.get(upload)
        return sent is not None and sent[0].open and time.monotonic() - sent[1] < PATIENCE
