"""What waits for the journal: a queue for each network, served in turn, and paid for in time.

One thread writes for everybody, so somebody who asks for much that is dear would make all others
wait. Whatever a network has written costs it seconds of that thread, and of the event loop that
publishes what follows: who has spent half of what they may comes last and with little at a time;
who has spent all waits until it is paid back. What comes from one connection keeps its order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence

from shared.protocol.errors import ChatError, ErrorCode
from shared.token_buckets import Buckets
from ws_server.store.entries import Entry

MAX_WAITING = 50_000
"""Entries that may wait; more are refused as `unavailable`."""
MAX_WAITING_EACH = 10_000
"""Of them, those of one network."""
PAID_RATE, PAID_BURST = 0.5, 0.5
"""Seconds of work that one network may cause in each second, and at once."""
LITTLE = 8
"""Entries in one batch of a network that has spent half."""


class WriteQueue:
    """The entries that wait; its methods belong to the event loop."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Entry]] = {}
        """By payer, whose turn is next first. None is who does not pay, and never waits."""
        self._count = 0
        self._paid = Buckets(PAID_RATE, PAID_BURST)

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry) -> None:
        """Let an entry wait.

        Raises:
            ChatError: UNAVAILABLE, too many wait.
        """
        queue = self._queues.get(entry.payer)
        most = MAX_WAITING if entry.payer is None else MAX_WAITING_EACH
        if self._count >= MAX_WAITING or (queue is not None and len(queue) >= most):
            raise too_many()
        if queue is None:
            queue = self._queues[entry.payer] = deque()
        queue.append(entry)
        self._count += 1

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Let entries that were taken, and had no time, go before those of their payers."""
        for entry in reversed(entries):
            self._queues.setdefault(entry.payer, deque()).appendleft(entry)
        self._count += len(entries)

    def take(self, most: int, everything: bool = False) -> list[Entry]:
        """Take the next entries, at most so many.

        Args:
            everything: Those who have spent all need not wait.

        Returns:
            None at all if all that wait have to be paid for first.
        """
        free: list[Hashable] = []
        careful: list[Hashable] = []
        for payer in self._queues:
            if payer is None or everything or not self._paid.wait(payer, PAID_BURST / 2):
                free.append(payer)
            elif not self._paid.wait(payer, 0.0):
                careful.append(payer)
        taken: list[Entry] = []
        while free and len(taken) < most:
            share = max(1, (most - len(taken)) // len(free))
            for payer in free:
                self._move(payer, min(share, most - len(taken)), taken)
            free = [payer for payer in free if payer in self._queues]
        for payer in careful:
            self._move(payer, min(LITTLE, most - len(taken)), taken)
        return taken

    def _move(self, payer: Hashable, count: int, taken: list[Entry]) -> None:
        if count <= 0:
            return
        queue = self._queues.pop(payer)
        count = min(count, len(queue))
        taken.extend(queue.popleft() for _ in range(count))
        self._count -= count
        if queue:
            self._queues[payer] = queue  # behind the others

    def spend(self, spent: Mapping[Hashable, float]) -> None:
        """Let payers pay for seconds of work."""
        for payer, seconds in spent.items():
            if payer is not None:
                self._paid.spend(payer, seconds)


def too_many() -> ChatError:
    """Return the refusal of an entry for which there is no room."""
    return ChatError(ErrorCode.UNAVAILABLE, "Too much waits to be written; try again soon")
