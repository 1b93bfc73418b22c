"""Uploads that a session is sending now, so that an equal upload leaves them alone.

An interrupted upload is resumed by the next upload of the same content to the same recipient, under
any file name and key. An upload in progress is not. The list is in memory only: after a restart no
upload is in progress.
"""

from __future__ import annotations

import asyncio
import time
from weakref import WeakValueDictionary

from ws_server.net.session import Session

PATIENCE = 30.0
"""Seconds without a chunk after which an upload counts as broken, although its connection is open.
If another upload then resumes it, the slow one must start over."""


class Uploading:
    """The uploads of all users. Its methods run on the event loop, except `is_sent`."""

    def __init__(self) -> None:
        self._sent: dict[str, tuple[Session, float]] = {}
        """By upload: its session, and the time of its last chunk; the oldest first."""
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    def turn(self, user_id: int) -> asyncio.Lock:
        """Return the lock under which one user's uploads are opened, one at a time."""
        return self._turns.setdefault(user_id, asyncio.Lock())

    def heard(self, upload: str, session: Session) -> None:
        """Record that a session sends this upload."""
        now = time.monotonic()
        self._sent.pop(upload, None)
        self._sent[upload] = (session, now)
        while (oldest := next(iter(self._sent))) and now - self._sent[oldest][1] > PATIENCE:
            del self._sent[oldest]

    def is_sent(self, upload: str) -> bool:
        """Return whether an open connection sends this upload; callable from any thread."""
        sent = self._sent.get(upload)
        return sent is not None and not sent[0].has_ended and time.monotonic() - sent[1] < PATIENCE
