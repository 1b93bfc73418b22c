"""The ledger of every benchmark: compares texts sent with texts delivered and stored.

A text contains its sender, a number that rises by one with each text of that sender, and the time
when it was sent. From these the ledger detects texts that were lost, doubled or out of order, and
computes each text's latency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from time import perf_counter_ns

SENDER, NUMBER, SENT = slice(0, 5), slice(5, 13), slice(13, 33)
"""Positions of the fields in a text; plain digits, which no wire format has to escape."""
SIZE = 64
"""Characters in a text."""


class Ledger:
    """Records every delivery.

    Args:
        hears: For each receiver, the sender whose texts it gets: each once, in order.
    """

    def __init__(self, hears: Sequence[int]) -> None:
        self.hears = hears
        self.texts: list[str] = []
        self.received = 0
        self.doubled = 0
        self.disordered = 0
        self.stray = 0
        self.latencies: list[int] | None = None
        self._sent = [0] * (max(hears, default=0) + 1)
        self._due = [0] * len(hears)
        self._skipped: list[set[int]] = [set() for _ in hears]

    def measure(self) -> list[int]:
        """From now on, collect latencies in the list returned, in nanoseconds."""
        self.latencies = []
        return self.latencies

    def write(self, sender: int) -> str:
        """Return the next text of a sender, with the present time; SIZE characters."""
        number = self._sent[sender]
        self._sent[sender] = number + 1
        text = f"{sender:05}{number:08}{perf_counter_ns():020}".ljust(SIZE, "x")
        self.texts.append(text)
        return text

    def book(self, receiver: int, text: bytes) -> None:
        """Record the delivery of a text; on the generator's hot path, hence short."""
        now = perf_counter_ns()
        number = int(text[NUMBER])
        if number == self._due[receiver] and int(text[SENDER]) == self.hears[receiver]:
            self._due[receiver] = number + 1
            self.received += 1
        else:
            self._book_irregular(receiver, int(text[SENDER]), number)
        if self.latencies is not None:
            self.latencies.append(now - int(text[SENT]))

    def _book_irregular(self, receiver: int, sender: int, number: int) -> None:
        due, skipped = self._due[receiver], self._skipped[receiver]
        if sender != self.hears[receiver] or number >= self._sent[sender]:
            self.stray += 1
        elif number > due:
            skipped.update(range(due, number))
            self._due[receiver] = number + 1
            self.received += 1
        elif number in skipped:
            skipped.remove(number)
            self.disordered += 1
            self.received += 1
        else:
            self.doubled += 1

    @property
    def sent(self) -> int:
        return len(self.texts)

    @property
    def lost(self) -> int:
        """The number of missing deliveries."""
        late = sum(
            self._sent[sender] - due for sender, due in zip(self.hears, self._due, strict=True)
        )
        return late + sum(map(len, self._skipped))

    @property
    def complete(self) -> bool:
        return self.lost == 0

    def misstored(self, kept: Iterable[str], copies: int) -> int:
        """Return the number of texts that a store lacks or has too often; 0 if it has exactly the
        texts sent, each in `copies` copies."""
        expected = Counter(dict.fromkeys(self.texts, copies))
        found = Counter(kept)
        return (expected - found).total() + (found - expected).total()
