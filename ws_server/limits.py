"""Token buckets: how fast each person or address may ask."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable

from shared.addresses import network, site
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
        if wait := self.wait(key, amount):
            raise rate_limited(wait)
        self.spend(key, amount)

    def wait(self, key: Hashable, amount: float = 1.0) -> float:
        """Return the seconds until there is enough; 0 if there is."""
        missing = amount - self._level(key, time.monotonic())
        return missing / self._rate if missing > ROUNDING else 0.0

    def spend(self, key: Hashable, amount: float = 1.0) -> None:
        """Take more than there is, if need be: it was found out only now."""
        now = time.monotonic()
        self._levels[key] = (self._level(key, now) - amount, now)
        if len(self._levels) > self._sweep_above:
            self._forget_full(now)
            self._sweep_above = max(KEPT, 2 * len(self._levels))

    def overdraw(self, key: Hashable, amount: float) -> None:
        """Take what has come already, also if it is more than there is.

        Raises:
            ChatError: RATE_LIMITED, it was more; with the seconds until it is made up for.
        """
        self.spend(key, amount)
        if wait := self.wait(key, 0.0):
            raise rate_limited(wait)

    def _level(self, key: Hashable, now: float) -> float:
        level, since = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - since) * self._rate)

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


class NetworkBuckets:
    """A bucket for each network, and one of twice as much for the site around an IPv6 one.

    They are asked by addresses of connections; see `shared.addresses`.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._networks = Buckets(rate, burst)
        self._sites = Buckets(2 * rate, 2 * burst)

    def wait(self, address: str) -> float:
        """Return the seconds until one may be taken; 0 if it may be now."""
        around = site(address)
        of_site = 0.0 if around is None else self._sites.wait(around)
        return max(self._networks.wait(network(address)), of_site)

    def spend(self, address: str) -> None:
        """Take one, also if there is none."""
        self._networks.spend(network(address))
        if (around := site(address)) is not None:
            self._sites.spend(around)

    def give_back(self, address: str) -> None:
        """Undo a `spend`."""
        self._networks.give_back(network(address))
        if (around := site(address)) is not None:
            self._sites.give_back(around)


def rate_limited(wait: float, why: str = "That is too fast; wait a little") -> ChatError:
    """Return the refusal that asks to wait `wait` seconds, rounded up to a tenth."""
    return ChatError(
        ErrorCode.RATE_LIMITED,
        why,
        retry_after=max(0.1, math.ceil(round(wait * 10, 6)) / 10),
    )


class Allowance:
    """One bucket that may be overdrawn: what is spent is known only afterwards."""

    __slots__ = ("_burst", "_rate", "_since", "level")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._since = now
        self.level = burst

    def refill(self, now: float) -> float:
        """Return what is there at a time that does not run back."""
        self.level = min(self._burst, self.level + (now - self._since) * self._rate)
        self._since = now
        return self.level

    def spend(self, amount: float, now: float) -> None:
        """Take, also more than there is."""
        level = self.level + (now - self._since) * self._rate
        self.level = (level if level < self._burst else self._burst) - amount
        self._since = now

    @property
    def full(self) -> bool:
        """Whether nothing was missing at the last `refill`."""
        return self.level >= self._burst


class Limits:
    """All limits of section 6 of the contract; `--rate-limits off` makes every check pass."""

    MAX_ERRORS, ERROR_WINDOW = 1_000, 60.0
    """More error replies than this in so many seconds close a connection."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._commands = Buckets(rate=50, burst=1_000)
        self._chunk_bytes = Buckets(rate=16 * 2**20, burst=64 * 2**20)
        self._registrations = NetworkBuckets(rate=30 / 600, burst=30)
        self._taken_names = NetworkBuckets(rate=30 / 600, burst=30)
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

    def first_contact(self, who: Hashable) -> None:
        """Count a try to link to a realm that is not known."""
        if self.on:
            self._first_contacts.take(who)

    def rows(self, realm_id: int, count: int, size: int) -> None:
        """Count rows that came from another realm; 4 KiB of them as one more."""
        if self.on:
            self._rows.overdraw(realm_id, count + size / 4096)

    def question(self, realm_id: int) -> None:
        """Count one question of another realm."""
        if self.on:
            self._questions.take(realm_id)

    def registration(self, address: str) -> None:
        """Count a try to register, before anything is looked up for it.

        Raises:
            ChatError: RATE_LIMITED, too many accounts, or too many names that others have.
        """
        if self.on:
            if wait := max(self._registrations.wait(address), self._taken_names.wait(address)):
                raise rate_limited(wait)
            self._registrations.spend(address)

    def name_was_taken(self, address: str) -> None:
        """No account came of a try, but it told that a name exists."""
        if self.on:
            self._registrations.give_back(address)
            self._taken_names.spend(address)
