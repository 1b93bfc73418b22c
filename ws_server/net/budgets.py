"""What the connections of one address may hold and spend together; docs/security.md has the table.

An address is an IPv4 address or an IPv6 /64. The /64s of one /48 have a budget together, and all
strangers (connections that have not signed in) have one, too. Each level counts what is below it.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, replace
from enum import IntEnum
from time import perf_counter
from typing import Protocol

from shared.addresses import network, site
from shared.protocol.values import MAX_FRAME
from shared.token_buckets import Allowance

STRANGER_FRAME = 16 * 1024
"""Bytes of a frame, and of the head of a request, of a stranger. Realms' handshakes take 8 KiB."""
GRACE_SECONDS = 5.0
"""Strangers younger than this are not closed for another one of their own address."""
SHARE_RATE, SHARE_BURST = 0.5, 0.01
"""Seconds of the event loop for each second, and at once, that an address spends outside turns."""
FORGOTTEN_ABOVE = 4_096
"""Budgets in memory before those that say nothing are forgotten."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one level of the hierarchy may hold and spend."""

    strangers: int
    """Connections that have not signed in, those still in their handshake included."""
    connections: int
    spare: int
    """Of both, what only serves plain HTTP, so that health is answered when the rest is taken."""
    unfinished: int
    """Bytes of strangers that wait: of unfinished frames, and behind frames before them."""
    unfinished_known: int
    """The same, of those who are signed in."""
    rate: float
    """Seconds of the event loop that strangers may take in each second."""
    burst: float
    """Seconds of the event loop that they may take at once."""


MIB = 2**20
ADDRESS = Bounds(256, 2_048, 8, 1 * MIB, 64 * MIB, 0.05, 0.25)
SITE = Bounds(512, 4_096, 16, 2 * MIB, 128 * MIB, 0.1, 0.5)
ALL = Bounds(1_024, 1_000_000, 32, 16 * MIB, 512 * MIB, 0.3, 0.5)
SPEAKERS = Bounds(1_024, 1_000_000, 0, 16 * MIB, 512 * MIB, 0.3, 0.5)
SESSIONS_OF_ACCOUNT = 64
"""Sessions of one account at a time."""


class Place(IntEnum):
    """Where a new connection stands."""

    FREE = 0
    SPARE = 1
    """Only plain HTTP is answered there."""
    NONE = 2


class Visitor(Protocol):
    """A connection, from the moment in which it is accepted."""

    def drop(self, reason: str) -> None:
        """End at once, and leave the budget, because there is no room."""


class Job(Protocol):
    """What waits for its turn on the event loop."""

    budget: Budget
    careful: bool
    """Whether it is on the budget of strangers."""

    @property
    def ready(self) -> bool:
        """Whether its next step can be done now."""

    def step(self) -> bool:
        """Do a little, at most about a millisecond; True if there is more to do."""


class Budget:
    """One level: an address, a site, or everybody."""

    __slots__ = (
        "bounds",
        "connections",
        "jobs",
        "levels",
        "queued",
        "rests_until",
        "share",
        "stranger_jobs",
        "strangers",
        "strangers_next",
        "turn",
        "unfinished",
        "unfinished_known",
        "visitors",
        "work",
    )

    def __init__(self, bounds: Bounds, above: Budget | None) -> None:
        self.bounds = bounds
        self.levels: tuple[Budget, ...] = (self, *(above.levels if above else ()))
        """Itself and those above."""
        self.turn: Budget = self.levels[-2] if above else self
        """The level whose connections have their turns together: one below everybody."""
        self.strangers = 0
        self.connections = 0
        self.unfinished = 0
        self.unfinished_known = 0
        self.visitors: dict[Visitor, float] = {}
        """The strangers of an address, oldest first, and since when each is here."""
        now = perf_counter()
        self.work = Allowance(bounds.rate, bounds.burst, now)
        self.share = Allowance(SHARE_RATE, SHARE_BURST, now)
        self.jobs: deque[Job] = deque()
        self.stranger_jobs: deque[Job] = deque()
        self.strangers_next = False
        self.queued = False
        """Whether it is in the ring of `Rounds`."""
        self.rests_until = -math.inf
        """Until when those who have signed in get no turn, after one that took too long."""

    def affords(self, now: float) -> bool:
        """Tell whether strangers may take more of the event loop."""
        return all(level.work.refill(now) > 0 for level in self.levels)

    def spend(self, seconds: float, now: float, known: bool) -> None:
        """Count time of the event loop."""
        self.turn.share.spend(seconds, now)
        if not known:
            for level in self.levels:
                level.work.spend(seconds, now)

    def hold(self, change: int, known: bool) -> bool:
        """Count bytes that wait; False if they are too many now."""
        fits = True
        for level in self.levels:
            if known:
                level.unfinished_known += change
                fits = fits and level.unfinished_known <= level.bounds.unfinished_known
            else:
                level.unfinished += change
                fits = fits and level.unfinished <= level.bounds.unfinished
        return fits

    @property
    def idle(self) -> bool:
        """Whether it says nothing that a new one would not say."""
        return not self.connections and self.work.full and self.share.full


class Budgets:
    """The budgets of all addresses, and how many connections there may be."""

    def __init__(self, on: bool, room: int) -> None:
        """Begin with nobody.

        Args:
            on: False lifts all bounds but the room.
            room: File descriptors that connections may take.
        """
        self.on = on
        self.room = room
        fitted = [_fit(bounds, room) for bounds in (ADDRESS, SITE, ALL)]
        self._of_address, self._of_site, of_all = fitted
        self.everybody = Budget(of_all, None)
        self.speakers = Budget(SPEAKERS, self.everybody)
        """Connections of trusted proxies and of the web app, until they say for whom they speak."""
        self._budgets: dict[str, Budget] = {"": self.speakers}
        self._sweep_above = FORGOTTEN_ABOVE
        self.refused: Counter[str] = Counter()
        """How often each bound was met."""

    @property
    def sessions_of_account(self) -> int | None:
        """How many sessions an account may have; None if that is not bounded."""
        return min(SESSIONS_OF_ACCOUNT, max(2, self.room // 4)) if self.on else None

    def of(self, address: str) -> Budget:
        """Return the budget of an address."""
        above = self.everybody
        around = site(address)
        if around is not None:
            above = self._kept(around, self._of_site, above)
        return self._kept(network(address), self._of_address, above)

    def _kept(self, name: str, bounds: Bounds, above: Budget) -> Budget:
        found = self._budgets.get(name)
        if found is None:
            if len(self._budgets) >= self._sweep_above:
                self._forget()
            found = self._budgets[name] = Budget(bounds, above)
        return found

    def _forget(self) -> None:
        now = perf_counter()
        for budget in self._budgets.values():
            budget.work.refill(now)
            budget.share.refill(now)
        self._budgets = {name: b for name, b in self._budgets.items() if not (name and b.idle)}
        self._sweep_above = max(FORGOTTEN_ABOVE, 2 * len(self._budgets))

    def admit(self, budget: Budget, visitor: Visitor) -> Place:
        """Count one more stranger, if there is a place; the oldest may have to go for it."""
        place = self._place(budget)
        if place is not Place.NONE:
            budget.visitors[visitor] = perf_counter()
            for level in budget.levels:
                level.strangers += 1
                level.connections += 1
        return place

    def _place(self, budget: Budget) -> Place:
        place = Place.FREE
        everybody = self.everybody
        is_full = everybody.connections >= self.room - everybody.bounds.spare
        if is_full and not self._drop_oldest("descriptors"):
            self.refused["descriptors"] += 1
            place = _last(self.room - everybody.connections)
        if not self.on:
            return place
        for level in budget.levels:
            bounds = level.bounds
            if level is not everybody and level.connections >= bounds.connections - bounds.spare:
                self.refused["connections"] += 1
                place = max(place, _last(bounds.connections - level.connections))
            elif level.strangers >= bounds.strangers - bounds.spare:
                if level is everybody:
                    self._drop_oldest("strangers")
                elif not self._drop_oldest_of(budget):
                    self.refused["address"] += 1
                    place = max(place, _last(bounds.strangers - level.strangers))
        return place

    def _drop_oldest_of(self, budget: Budget) -> bool:
        """Close the oldest stranger of an address, unless all of them are young."""
        oldest = next(iter(budget.visitors.items()), None)
        if oldest is None or perf_counter() - oldest[1] < GRACE_SECONDS:
            return False
        self.refused["address"] += 1
        oldest[0].drop("others of your address wait")
        return True

    def _drop_oldest(self, why: str) -> bool:
        """Close the oldest stranger of the address that has most of them."""
        most = max(self._budgets.values(), key=lambda budget: len(budget.visitors), default=None)
        if most is None or not most.visitors:
            return False
        self.refused[why] += 1
        next(iter(most.visitors)).drop("too many are here who have not signed in")
        return True

    def replace(self, budget: Budget, old: Visitor, new: Visitor) -> None:
        """Let a stranger count under another object."""
        budget.visitors[new] = budget.visitors.pop(old)

    def recognise(self, budget: Budget, visitor: Visitor, known: bool) -> None:
        """Count a stranger among those who are known, or the other way round."""
        if known:
            del budget.visitors[visitor]
        else:
            budget.visitors[visitor] = perf_counter()
        for level in budget.levels:
            level.strangers += -1 if known else 1

    def leave(self, budget: Budget, visitor: Visitor) -> None:
        """A connection is gone, or counts elsewhere from now on."""
        was_stranger = budget.visitors.pop(visitor, None) is not None
        for level in budget.levels:
            level.connections -= 1
            level.strangers -= was_stranger


def _last(free: int) -> Place:
    """Return what is left where only the spare places are free."""
    return Place.SPARE if free > 0 else Place.NONE


def _fit(bounds: Bounds, room: int) -> Bounds:
    """Lower bounds so that no address takes all of a little room."""
    return replace(
        bounds,
        strangers=min(bounds.strangers, room // 2),
        connections=min(bounds.connections, room * 3 // 4),
        spare=min(bounds.spare, room // 16),
    )


assert STRANGER_FRAME < MAX_FRAME
