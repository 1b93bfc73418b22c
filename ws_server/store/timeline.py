"""When messages were sent and in which order conversations changed, whatever the wall clock does.

The wall clock may be wrong for a while and then jump either way. A message gets the wall's time,
unless its conversation already has a later one: then the conversation goes on from there at the
speed of the monotonic clock, until the wall clock has caught up. Lists of conversations are not
ordered by time but by `activity`, a number that rises with every message and every new
conversation.
"""

from __future__ import annotations

import time
from typing import cast

from sqlalchemy import Connection, func, select

from ws_server.store.schema import conversations

MAX_STEADY = 50_000
"""Conversations of which it is noted how long ago their last message was."""


def wall_ms() -> int:
    """Return what the wall clock shows, Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Timeline:
    """One for each database; used by the transaction that writes, so by one thread at a time."""

    def __init__(self) -> None:
        self._activity = 0
        self._steady: dict[int, int] = {}
        """The monotonic milliseconds of the last message, by conversation; the oldest first."""

    def go_on(self, tx: Connection) -> None:
        """Let the order go on from the highest activity of the database."""
        self._activity = tx.scalar(select(func.max(conversations.c.activity))) or 0

    def next_activity(self) -> int:
        """Return a number above all that were given before."""
        self._activity += 1
        return self._activity

    def time_after(self, conversation_id: int, last: int, now: int) -> int:
        """Return the time of a conversation's next message, Unix milliseconds.

        Args:
            last: The time of its last message; 0 if there is none.
            now: What the wall clock shows.
        """
        steady = time.monotonic_ns() // 1_000_000
        before = self._steady.pop(conversation_id, steady)
        self._steady[conversation_id] = steady
        if len(self._steady) > MAX_STEADY:
            del self._steady[next(iter(self._steady))]
        return now if now >= last else last + max(1, steady - before)


def timeline(tx: Connection) -> Timeline:
    """Return the timeline of the database that this transaction writes to."""
    return cast(Timeline, tx.get_execution_options()["timeline"])
