"""The queues in front of the journal: one for each network, served in turn, and charged for time.

One thread writes for everybody, so expensive changes of one network would delay all others. Each
network is charged for the seconds that its entries take of that thread, and of the event loop that
publishes their effects. A network that has spent half of its time comes last, with few entries in a
batch. A network that has spent all of it waits until the time is refilled. Entries of one
connection keep their order.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Mapping, Sequence

from shared.protocol.errors import ChatError, ErrorCode
from shared.token_buckets import Buckets
from ws_server.store.entries import Entry

MAX_WAITING = 50_000
"""Entries that may wait; more are refused as `unavailable`."""
MAX_WAITING_EACH = 10_000
"""Of them, those of one network."""
PAID_RATE, PAID_BURST = 0.5, 0.1
"""Seconds of work that one network may cause: in each second, and at once."""
LITTLE = 8
"""Entries in one batch of a network that has spent half of its time."""


class WriteQueue:
    """The entries that wait; its methods belong to the event loop."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[Entry]] = {}
        """By payer, the next one first. None pays for nothing and never waits."""
        self._count = 0
        self._paid = Buckets(PAID_RATE, PAID_BURST)

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry) -> None:
        """Add an entry to the queue of its payer.

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
        """Put entries that were taken and not written back in front of their queues."""
        for entry in reversed(entries):
            self._queues.setdefault(entry.payer, deque()).appendleft(entry)
        self._count += len(entries)

    def take(self, most: int, everything: bool = False) -> list[Entry]:
        """Take the next entries, at most so many.

        Args:
            everything: Also entries of networks that have spent all their time.

        Returns:
            An empty list if all that wait have spent all their time.
        """
        free: list[Hashable] = []
        careful: list[Hashable] = []
        for payer in self._queues:
            if payer is None or everything or not self._paid.wait(payer, PAID_BURST / 2):
                free.append(payer)
            elif not self._paid.wait(payer, 0.0):
                careful.append(payer)
        is_shared = len(free) > 1
        taken: list[Entry] = []
        while free and len(taken) < most:
            share = max(1, (most - len(taken)) // len(free))
            for payer in free:
                self._move(payer, min(share, most - len(taken)), taken)
            free = [payer for payer in free if payer in self._queues]
        if is_shared:
            # Those with few entries first, as the end of a batch may have to wait for the next.
            count = Counter(entry.payer for entry in taken)
            taken.sort(key=lambda entry: count[entry.payer])
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
        """Charge payers for seconds of work."""
        for payer, seconds in spent.items():
            if payer is not None:
                self._paid.spend(payer, seconds)


def too_many() -> ChatError:
    """Return the refusal of an entry for which there is no room."""
    return ChatError(ErrorCode.UNAVAILABLE, "Too much waits to be written; try again soon")
