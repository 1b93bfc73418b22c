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
from heapq import heappop, heappush
from itertools import count, islice
from time import monotonic

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


class _Waiting:
    """The entries of one payer, which are among `turns`: the payers of one standing."""

    __slots__ = ("entries", "turns")

    def __init__(self, turns: dict[Hashable, _Waiting]) -> None:
        self.entries: deque[Entry] = deque()
        self.turns = turns


class WriteQueue:
    """The entries that wait; its methods belong to the event loop.

    A batch costs the same however many networks wait: their standing is looked up when they spend,
    and when enough time has passed for a better one.
    """

    def __init__(self) -> None:
        self._queues: dict[Hashable, _Waiting] = {}
        """By payer."""
        self._free: dict[Hashable, _Waiting] = {}
        """Of them, those that have spent less than half, the next one first. None pays for nothing
        and is always among them."""
        self._careful: dict[Hashable, _Waiting] = {}
        """Those that have spent half, the next one first."""
        self._broke: dict[Hashable, _Waiting] = {}
        """Those that have spent all."""
        self._rises: list[tuple[float, int, Hashable]] = []
        """A heap: when the others may have a better standing; at most once for each payer."""
        self._timed: set[Hashable] = set()
        """The payers in that heap."""
        self._numbers = count()
        self._count = 0
        self._paid = Buckets(PAID_RATE, PAID_BURST)

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry) -> None:
        """Add an entry to the queue of its payer.

        Raises:
            ChatError: UNAVAILABLE, too many wait.
        """
        waiting = self._queues.get(entry.payer)
        most = MAX_WAITING if entry.payer is None else MAX_WAITING_EACH
        if self._count >= MAX_WAITING or (waiting is not None and len(waiting.entries) >= most):
            raise too_many()
        if waiting is None:
            waiting = self._begin(entry.payer)
        waiting.entries.append(entry)
        self._count += 1

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Put entries that were taken and not written back in front of their queues."""
        for entry in reversed(entries):
            waiting = self._queues.get(entry.payer) or self._begin(entry.payer)
            waiting.entries.appendleft(entry)
        self._count += len(entries)

    def take(self, most: int, everything: bool = False) -> list[Entry]:
        """Take the next entries, at most so many.

        Args:
            everything: Also entries of networks that have spent all their time.

        Returns:
            An empty list if all that wait have spent all their time.
        """
        if self._rises:
            self._let_rise()
        taken: list[Entry] = []
        first = self._queues if everything else self._free
        is_shared = len(first) > 1
        while first and len(taken) < most:
            payers = list(islice(first, most - len(taken)))
            share = (most - len(taken)) // len(payers)
            for payer in payers:
                self._move(payer, share, taken)
        if is_shared:
            # Those with few entries first, as the end of a batch may have to wait for the next.
            number = Counter(entry.payer for entry in taken)
            taken.sort(key=lambda entry: number[entry.payer])
        for payer in list(islice(self._careful, most - len(taken))):
            self._move(payer, min(LITTLE, most - len(taken)), taken)
        return taken

    def _move(self, payer: Hashable, most: int, taken: list[Entry]) -> None:
        if most <= 0:
            return
        waiting = self._queues[payer]
        entries = waiting.entries
        del waiting.turns[payer]
        if len(entries) <= most:
            del self._queues[payer]
            taken += entries
            self._count -= len(entries)
        else:
            waiting.turns[payer] = waiting  # behind the others
            taken.extend(entries.popleft() for _ in range(most))
            self._count -= most

    def spend(self, spent: Mapping[Hashable, float]) -> None:
        """Charge payers for seconds of work."""
        for payer, seconds in spent.items():
            if payer is not None:
                self._paid.spend(payer, seconds)
                if (waiting := self._queues.get(payer)) is not None:
                    self._place(payer, waiting)

    def _begin(self, payer: Hashable) -> _Waiting:
        waiting = self._queues[payer] = self._free[payer] = _Waiting(self._free)
        if payer is not None:
            self._place(payer, waiting)
        return waiting

    def _place(self, payer: Hashable, waiting: _Waiting) -> None:
        """Put a payer among those of its present standing, behind the others if it is another."""
        turns = self._free
        wait = self._paid.wait(payer, PAID_BURST / 2)
        if wait:
            turns = self._careful
            if wait_for_any := self._paid.wait(payer, 0.0):
                turns, wait = self._broke, wait_for_any
            if payer not in self._timed:
                self._timed.add(payer)
                heappush(self._rises, (monotonic() + wait, next(self._numbers), payer))
        if turns is not waiting.turns:
            del waiting.turns[payer]
            turns[payer] = waiting
            waiting.turns = turns

    def _let_rise(self) -> None:
        """Look at the payers whose standing may be better by now.

        One that has spent more since is put into the heap again.
        """
        now = monotonic()
        while self._rises and self._rises[0][0] <= now:
            _, _, payer = heappop(self._rises)
            self._timed.discard(payer)
            if (waiting := self._queues.get(payer)) is not None:
                self._place(payer, waiting)


def too_many() -> ChatError:
    """Return the refusal of an entry for which there is no room."""
    return ChatError(ErrorCode.UNAVAILABLE, "Too much waits to be written; try again soon")
