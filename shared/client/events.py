"""Events waiting for the app: in order, bounded, with the positions that the app has taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from shared.bounded import BoundedDict
from shared.client.notices import HistoryChanged, Notice, Offline, Online
from shared.client.positions import PositionPassed
from shared.protocol.commands.messages import MessageArrived
from shared.protocol.records import Event
from shared.protocol.values import MAX_POSITIONS, fold

MAX_EVENTS = 1_000
MAX_EVENT_BYTES = 8 * 2**20
"""Events, and their bytes, that may wait for the app; then the client stops reading."""

Told = Event | Notice


@dataclass(slots=True)
class _QueuedEvent:
    event: Told
    size: int
    passed: dict[str, PositionPassed] = field(default_factory=dict)
    """Positions that moved without an event after this one."""


class EventQueue:
    """The queue of events for the app. `positions` and `epoch` cover the events taken so far."""

    def __init__(self, on_taken: Callable[[], None]) -> None:
        self._entries: deque[_QueuedEvent] = deque()
        self._size = 0
        self._on_taken = on_taken
        self._taker: asyncio.Future[None] | None = None
        self._closed = False
        self._positions: BoundedDict[str, tuple[str, int]] = BoundedDict(MAX_POSITIONS)
        self.epoch: str | None = None

    @property
    def positions(self) -> dict[str, int]:
        return dict(self._positions.values())

    @property
    def full(self) -> bool:
        return len(self._entries) >= MAX_EVENTS or self._size >= MAX_EVENT_BYTES

    @property
    def overfull(self) -> bool:
        """Whether new events are dropped, although reading continues for waiting calls.

        Well above `full`, because frames of one read still need room.
        """
        return len(self._entries) >= 4 * MAX_EVENTS or self._size >= 2 * MAX_EVENT_BYTES

    @property
    def roomy(self) -> bool:
        """Whether half of the queue is free, enough for a page of `sync`."""
        return len(self._entries) <= MAX_EVENTS // 2 and self._size <= MAX_EVENT_BYTES // 2

    def put(self, event: Told, size: int = 0) -> None:
        """Add an event; `size` is its approximate number of bytes."""
        if isinstance(event, Offline):
            self._drop_older_notices()
        self._entries.append(_QueuedEvent(event, size))
        self._size += size
        self._wake()

    def passed(self, moved: PositionPassed) -> None:
        """Move a position once the app has taken the events now in the queue."""
        if self._entries:
            self._entries[-1].passed[fold(moved.conversation)] = moved
        else:
            self._move(moved)

    def restore(self, positions: dict[str, int], epoch: str | None) -> None:
        """Set the positions an app has kept."""
        self._positions.clear()
        self._positions.update((fold(name), (name, seq)) for name, seq in positions.items())
        self.epoch = epoch

    def close(self) -> None:
        """End the iterators once they have taken the remaining events."""
        self._closed = True
        self._wake()

    def __aiter__(self) -> AsyncIterator[Told]:
        return self

    async def __anext__(self) -> Told:
        while not self._entries:
            if self._closed:
                raise StopAsyncIteration
            if self._taker is not None:
                raise RuntimeError("events() is already being waited for by another task")
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        return self._take()

    def _take(self) -> Told:
        entry = self._entries.popleft()
        self._size -= entry.size
        event = entry.event
        if isinstance(event, MessageArrived):
            self._move(PositionPassed(event.conversation, event.seq))
        elif isinstance(event, HistoryChanged):
            self._positions.clear()
            self.epoch = event.epoch
        for moved in entry.passed.values():
            self._move(moved)
        self._on_taken()
        return event

    def _move(self, moved: PositionPassed) -> None:
        key = fold(moved.conversation)
        if moved.seq is None:
            self._positions.pop(key, None)
        else:
            self._positions[key] = (moved.conversation, moved.seq)

    def _drop_older_notices(self) -> None:
        """Keep only the latest of several breaks, so that notices do not pile up."""
        while self._entries and isinstance(self._entries[-1].event, Offline | Online):
            last = self._entries.pop()
            if last.passed and self._entries:
                self._entries[-1].passed |= last.passed
            elif last.passed:
                for moved in last.passed.values():
                    self._move(moved)

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)
