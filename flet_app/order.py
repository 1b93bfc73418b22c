"""The order of conversations in the list and of days in a chat, even if clocks were wrong.

Pure. A realm returns its lists in the order of activity, and the messages of a conversation in the
order of `seq`. Times are only what some machine's clock showed.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from shared.protocol.commands.groups import GroupChat
from shared.protocol.commands.private import PrivateChat

MAX_AHEAD_MS = 86_400_000
"""Milliseconds by which a message may be ahead of our own clock. Beyond that its clock was wrong,
not only set to another zone."""


def in_order(chats: Sequence[PrivateChat], groups: Sequence[GroupChat], now: int) -> Iterator[str]:
    """Merge the addresses of two lists, the most recent activity first.

    Each list keeps its own order. Times only decide how the two interleave: a conversation counts
    as new as the newest message in it or below it in its list. So a conversation without messages,
    whose time of creation is unknown, comes right before the next one that has messages.

    Args:
        now: Unix milliseconds.
    """
    private = zip(_as_new_as(chats, now), (chat.conversation for chat in chats), strict=True)
    shared = zip(_as_new_as(groups, now), (group.group for group in groups), strict=True)
    merged = heapq.merge(private, shared, key=lambda row: -row[0])
    return (address for _, address in merged)


def _as_new_as(rows: Sequence[PrivateChat | GroupChat], now: int) -> list[int]:
    newest, found = 0, []
    for row in reversed(rows):
        if row.last is not None and row.last.time <= now + MAX_AHEAD_MS:
            newest = max(newest, row.last.time)
        found.append(newest)
    return found[::-1]


def days_in_order(days: Sequence[int], today: int) -> list[int]:
    """Return the day under which each message of a conversation is shown; days never go back.

    Most clocks are right most of the time. So the longest non-decreasing sequence of days is
    believed (patience sorting); each other message is shown under the day of the message before it.

    Args:
        days: The days of the messages in order, as numbers; days after tomorrow are not believed.
    """
    # For each length, the least last day of a sequence, and the message that ends it.
    ends: list[int] = []
    enders: list[int] = []
    before: list[int] = []
    for here, day in enumerate(days):
        length = bisect_right(ends, day)
        before.append(enders[length - 1] if length else -1)
        if day <= today + 1:
            ends[length : length + 1] = [day]
            enders[length : length + 1] = [here]
    believed = set()
    here = enders[-1] if enders else -1
    while here >= 0:
        believed.add(here)
        here = before[here]
    return _filled(days, believed, today)


def _filled(days: Sequence[int], believed: set[int], today: int) -> list[int]:
    current = next((days[here] for here in sorted(believed)), today)
    found = []
    for here, day in enumerate(days):
        current = day if here in believed else current
        found.append(current)
    return found
