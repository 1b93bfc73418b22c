"""Token buckets: how fast each person or address may ask."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable

from shared.protocol.errors import ChatError, ErrorCode

ROUNDING = 1e-6
"""What adding up fractions may be off."""
KEPT = 10_000
"""Buckets in memory before the full ones, which say nothing, are forgotten."""


REFUSED_UNIT = 16 * 1024
"""Bytes of a refused frame that count as one command more."""


class Buckets:
    """One bucket for each key: `burst` at once, then `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._levels: dict[Hashable, tuple[float, float]] = {}
        self._sweep_above = KEPT

    def take(self, key: Hashable, amount: float = 1.0) -> None:
        """Take from the key's bucket.

        Raises:
            ChatError: RATE_LIMITED, with the seconds until there is enough.
        """
        now = time.monotonic()
        level, since = self._levels.get(key, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        if level + ROUNDING < amount:
            raise rate_limited((amount - level) / self._rate)
        self._levels[key] = (level - amount, now)
        if len(self._levels) > self._sweep_above:
            self._forget_full(now)
            self._sweep_above = max(KEPT, 2 * len(self._levels))

    def give_back(self, key: Hashable, amount: float = 1.0) -> None:
        """Undo a `take` that turned out to cost nothing."""
        if key in self._levels:
            level, since = self._levels[key]
            self._levels[key] = (min(self._burst, level + amount), since)

    def _forget_full(self, now: float) -> None:
        self._levels = {
            key: (level, since)
            for key, (level, since) in self._levels.items()
            if level + (now - since) * self._rate < self._burst
        }


def rate_limited(wait: float) -> ChatError:
    """Return the refusal that asks to wait `wait` seconds, rounded up to a tenth."""
    return ChatError(
        ErrorCode.RATE_LIMITED,
        "That is too fast; wait a little",
        retry_after=max(0.1, math.ceil(round(wait * 10, 6)) / 10),
    )


class Limits:
    """All limits of section 6 of the contract; `--rate-limits off` makes every check pass."""

    MAX_ERRORS, ERROR_WINDOW = 1_000, 60.0
    """More error replies than this in so many seconds close a connection."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._commands = Buckets(rate=50, burst=1_000)
        self._chunk_bytes = Buckets(rate=16 * 2**20, burst=64 * 2**20)
        self._passwords = Buckets(rate=0.1, burst=5)
        self._registrations = Buckets(rate=30 / 600, burst=30)
        self._first_contacts = Buckets(rate=10 / 3600, burst=10)
        self._rows = Buckets(rate=10_000, burst=50_000)
        self._questions = Buckets(rate=50, burst=1_000)

    def command(self, who: Hashable) -> None:
        """Count one command of a user, or of an address that has not signed in."""
        if self.on:
            self._commands.take(who)

    def refused(self, who: Hashable, size: int) -> None:
        """Count a frame that could not be read; a large one as many commands."""
        if self.on:
            self._commands.take(who, 1 + size / REFUSED_UNIT)

    def chunk(self, who: Hashable, size: int) -> None:
        """Count the bytes of a chunk."""
        if self.on:
            self._chunk_bytes.take(who, size)

    def password(self, address: str, account: str) -> None:
        """Count a try before it is checked; the account itself is never locked."""
        if self.on:
            try:
                self._passwords.take((address, account))
            except ChatError as error:
                error.message = "Too many wrong passwords for this account from your address"
                raise

    def password_was_no_guess(self, address: str, account: str) -> None:
        """A right password, or one that could not be checked, costs nothing."""
        if self.on:
            self._passwords.give_back((address, account))

    def first_contact(self, who: Hashable) -> None:
        """Count a try to link to a realm that is not known."""
        if self.on:
            self._first_contacts.take(who)

    def rows(self, realm_id: int, count: int, size: int) -> None:
        """Count rows that came from another realm; 4 KiB of them as one more."""
        if self.on:
            self._rows.take(realm_id, count + size / 4096)

    def question(self, realm_id: int) -> None:
        """Count one question of another realm."""
        if self.on:
            self._questions.take(realm_id)

    def registration(self, address: str) -> None:
        """Count one new account."""
        if self.on:
            self._registrations.take(address)
