"""What comes before what, however wrong the clocks were: conversations of a list, days of a chat.

Pure. A realm gives its lists in the order in which something happened, and each conversation its
messages in the order of their numbers. Times are only what some machine's clock showed then.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from shared.protocol.commands.groups import GroupChat
from shared.protocol.commands.private import PrivateChat

AHEAD = 86_400_000
"""Milliseconds by which a message may be ahead of our own clock; beyond that its clock was wrong,
and not only set to another zone."""


def in_order(chats: Sequence[PrivateChat], groups: Sequence[GroupChat], now: int) -> Iterator[str]:
    """Yield the addresses of two lists as those of one, in which something happened last first.

    Either keeps its own order. Their times only say how one lies in the other: a conversation is
    as new as the newest message in it or below it, so one without a message, of which nobody knows
    when it was made, comes right before the next one below it that has some.

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
        if row.last is not None and row.last.time <= now + AHEAD:
            newest = max(newest, row.last.time)
        found.append(newest)
    return found[::-1]


def days_in_order(days: Sequence[int], today: int) -> list[int]:
    """Return under which day each message of a conversation stands; days never run back.

    Most clocks are right most of the time, so the longest run of days that do not go back is
    believed (patience sorting), and each of the others stands under the day of the one before it.

    Args:
        days: Of the messages in their order, as numbers; those after tomorrow are not believed.
    """
    # The least day with which a run of each length can end, and the message that ends it so.
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
