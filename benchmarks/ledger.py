"""What was sent, against what came and what was kept: one ledger for every server.

A text carries its sender, a number that rises by one with each text of that sender, and the time
it was sent. So whatever a server does to it on the way, the ledger sees what was lost, doubled or
out of order, and how long each text took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from time import perf_counter_ns

SENDER, NUMBER, SENT = slice(0, 5), slice(5, 13), slice(13, 33)
"""Where the fields of a text are; plain digits, so that no wire format has to escape them."""
SIZE = 64
"""Characters in a text."""


class Ledger:
    """Books every delivery.

    Args:
        hears: For each receiver, whom it hears: every text of that sender, in order, once.
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
        """Collect latencies from now on, in nanoseconds, in the list returned."""
        self.latencies = []
        return self.latencies

    def write(self, sender: int) -> str:
        """Return the next text of a sender, as sent now; SIZE characters."""
        number = self._sent[sender]
        self._sent[sender] = number + 1
        text = f"{sender:05}{number:08}{perf_counter_ns():020}".ljust(SIZE, "x")
        self.texts.append(text)
        return text

    def book(self, receiver: int, text: bytes) -> None:
        """Note that a receiver was pushed a text; on the generator's hot path, so kept lean."""
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
        """Deliveries that should have come and have not."""
        late = sum(
            self._sent[sender] - due for sender, due in zip(self.hears, self._due, strict=True)
        )
        return late + sum(map(len, self._skipped))

    @property
    def complete(self) -> bool:
        return self.lost == 0

    def misstored(self, kept: Iterable[str], copies: int) -> int:
        """Return how many texts a store lacks or has too many of; 0 if it holds exactly what
        was sent, each in so many copies."""
        expected = Counter(dict.fromkeys(self.texts, copies))
        found = Counter(kept)
        return (expected - found).total() + (found - expected).total()
