"""Sessions of departed peers whose commands are still carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ws_server.net.session import Session

MAX_SECONDS = 30.0
"""Seconds to carry out the commands of a departed peer; the rest is dropped."""
MAX_SESSIONS = 1_000
"""Departing sessions at a time; one more ends the oldest."""


class Departures:
    """The departing sessions, bounded in number and in time."""

    def __init__(self, end: Callable[[Session], None]) -> None:
        """Args: `end` ends a session and calls `discard`."""
        self._end = end
        self._deadlines: dict[Session, asyncio.TimerHandle] = {}
        """The timers of all departing sessions, the oldest first."""
        self._all_ended: asyncio.Event | None = None

    def add(self, session: Session) -> None:
        """End a session within the time limit; end the oldest one now if there are too many."""
        loop = asyncio.get_running_loop()
        self._deadlines[session] = loop.call_later(MAX_SECONDS, self._end, session)
        if len(self._deadlines) > MAX_SESSIONS:
            self._end(next(iter(self._deadlines)))

    def discard(self, session: Session) -> None:
        """Remove a session that has ended."""
        if (deadline := self._deadlines.pop(session, None)) is not None:
            deadline.cancel()
            if not self._deadlines and self._all_ended is not None:
                self._all_ended.set()

    async def wait(self, seconds: float) -> None:
        """Wait until all departing sessions have ended; after `seconds`, end the rest."""
        if self._deadlines:
            self._all_ended = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_ended.wait(), seconds)
            for session in list(self._deadlines):
                self._end(session)
