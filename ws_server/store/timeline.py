"""Times of messages and the order of conversations, independent of jumps of the wall clock.

The wall clock may be wrong for a while and then jump either way. A message gets the wall clock's
time, unless its conversation already has a later one. In that case, times continue from the later
one at the speed of the monotonic clock, until the wall clock has caught up. Conversations are
ordered by `activity`, a number that rises with every message and every new conversation.
"""

from __future__ import annotations

import time
from typing import cast

from sqlalchemy import Connection, func, select

from ws_server.store.schema import conversations

MAX_STEADY = 50_000
"""Conversations for which the monotonic time of the last message is remembered."""


def wall_ms() -> int:
    """Return the wall clock's time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Timeline:
    """The timeline of one database; used inside write transactions, so by one thread at a time."""

    def __init__(self) -> None:
        self._activity = 0
        self._steady: dict[int, int] = {}
        """The monotonic milliseconds of the last message by conversation, the oldest first."""

    def resume(self, tx: Connection) -> None:
        """Continue from the highest activity stored in the database."""
        self._activity = tx.scalar(select(func.max(conversations.c.activity))) or 0

    def next_activity(self) -> int:
        """Return a number above all previous ones."""
        self._activity += 1
        return self._activity

    @staticmethod
    def time_at_once(last: int, now: int) -> int:
        """Return the time of a message directly after another one, in the same batch."""
        return now if now >= last else last + 1

    def time_after(self, conversation_id: int, last: int, now: int) -> int:
        """Return the time of a conversation's next message, Unix milliseconds.

        Args:
            last: The time of its last message; 0 if there is none.
            now: The wall clock's time.
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
