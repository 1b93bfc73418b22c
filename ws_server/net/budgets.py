"""Budgets of connections, memory and CPU time per address; docs/security.md has the table.

An address is an IPv4 address or an IPv6 /64. All /64s of one /48 (a site) share a budget, and all
connections share one. Each level includes the levels below it. A stranger is a connection that has
not signed in.
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
"""Bytes of a stranger's frame, and of a request's head. Handshakes of realms need 8 KiB."""
GRACE_SECONDS = 5.0
"""A stranger younger than this is not closed in favour of another one of the same address."""
SHARE_RATE, SHARE_BURST = 0.5, 0.01
"""Seconds of the event loop for each second, and at once, that an address may use without waiting
for turns."""
FORGOTTEN_ABOVE = 4_096
"""Budgets in memory before idle ones are deleted."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one level of the hierarchy."""

    strangers: int
    """Connections that have not signed in, those in their handshake included."""
    connections: int
    """All connections, signed-in ones included."""
    spare: int
    """Places, within both limits, that are reserved for plain HTTP, so that health checks are
    answered under load."""
    unfinished: int
    """Bytes received from strangers and not processed yet, incomplete frames included."""
    unfinished_known: int
    """The same for signed-in connections."""
    rate: float
    """Seconds of the event loop that strangers may use in each second."""
    burst: float
    """Seconds of the event loop that strangers may use at once."""


MIB = 2**20
ADDRESS = Bounds(256, 2_048, 8, 1 * MIB, 64 * MIB, 0.05, 0.25)
SITE = Bounds(512, 4_096, 16, 2 * MIB, 128 * MIB, 0.1, 0.5)
ALL = Bounds(1_024, 1_000_000, 32, 16 * MIB, 512 * MIB, 0.3, 0.5)
UNIDENTIFIED = Bounds(1_024, 1_000_000, 0, 16 * MIB, 512 * MIB, 0.3, 0.5)
SESSIONS_OF_ACCOUNT = 64
"""Sessions of one account at a time."""


class Place(IntEnum):
    """The kind of place that a new connection gets."""

    FREE = 0
    SPARE = 1
    """A reserved place, for plain HTTP only."""
    NONE = 2


class BudgetedConnection(Protocol):
    """A connection, from its acceptance on."""

    def drop(self, reason: str) -> None:
        """Leave the budget and close at once, to free the place."""


class Job(Protocol):
    """Work that waits for its turn on the event loop."""

    budget: Budget
    careful: bool
    """Whether its time is charged to the strangers' budget."""

    @property
    def ready(self) -> bool:
        """Whether the next step can run now."""

    def step(self) -> bool:
        """Run for at most about a millisecond; return True if work is left."""


class Budget:
    """The budget of one level: an address, a site, or all connections."""

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
        "stranger_arrivals",
        "work",
    )

    def __init__(self, bounds: Bounds, above: Budget | None) -> None:
        self.bounds = bounds
        self.levels: tuple[Budget, ...] = (self, *(above.levels if above else ()))
        """This budget and all above it."""
        self.turn: Budget = self.levels[-2] if above else self
        """The level that shares one turn on the event loop: the one below the total."""
        self.strangers = 0
        self.connections = 0
        self.unfinished = 0
        self.unfinished_known = 0
        self.stranger_arrivals: dict[BudgetedConnection, float] = {}
        """The strangers of an address, oldest first, each with the time of its arrival."""
        now = perf_counter()
        self.work = Allowance(bounds.rate, bounds.burst, now)
        self.share = Allowance(SHARE_RATE, SHARE_BURST, now)
        self.jobs: deque[Job] = deque()
        self.stranger_jobs: deque[Job] = deque()
        self.strangers_next = False
        self.queued = False
        """Whether it is in the ring of `Rounds`."""
        self.rests_until = -math.inf
        """Signed-in connections get no turn before this time, after a turn that was too long."""

    def affords(self, now: float) -> bool:
        """Return whether strangers may use more time of the event loop."""
        return all(level.work.refill(now) > 0 for level in self.levels)

    def spend(self, seconds: float, now: float, known: bool) -> None:
        """Charge seconds of the event loop; those of a stranger on all levels."""
        self.turn.share.spend(seconds, now)
        if not known:
            for level in self.levels:
                level.work.spend(seconds, now)

    def hold(self, change: int, known: bool) -> bool:
        """Add to the unprocessed bytes; return False if they now exceed a bound of any level."""
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
        """Whether it equals a new budget, so that it can be deleted."""
        return not self.connections and self.work.full and self.share.full


class Budgets:
    """The budgets of all addresses, and the admission of connections."""

    def __init__(self, on: bool, room: int) -> None:
        """Start without connections.

        Args:
            on: False turns off all bounds except `room`.
            room: File descriptors that connections may use.
        """
        self.on = on
        self.room = room
        fitted = [_fit(bounds, room) for bounds in (ADDRESS, SITE, ALL)]
        self._of_address, self._of_site, of_all = fitted
        self.total = Budget(of_all, None)
        self.unidentified = Budget(UNIDENTIFIED, self.total)
        """Connections of trusted proxies and of the web app, until they name the client."""
        self._budgets: dict[str, Budget] = {"": self.unidentified}
        self._sweep_above = FORGOTTEN_ABOVE
        self.refused: Counter[str] = Counter()
        """Refusals by each bound."""

    @property
    def sessions_of_account(self) -> int | None:
        """The most sessions of one account; None if unbounded."""
        return min(SESSIONS_OF_ACCOUNT, max(2, self.room // 4)) if self.on else None

    def of(self, address: str) -> Budget:
        """Return the budget of an address."""
        above = self.total
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

    def admit(self, budget: Budget, connection: BudgetedConnection) -> Place:
        """Count a new stranger if there is a place; this may close the oldest stranger."""
        place = self._place(budget)
        if place is not Place.NONE:
            budget.stranger_arrivals[connection] = perf_counter()
            for level in budget.levels:
                level.strangers += 1
                level.connections += 1
        return place

    def _place(self, budget: Budget) -> Place:
        place = Place.FREE
        total = self.total
        is_full = total.connections >= self.room - total.bounds.spare
        if is_full and not self._drop_oldest("descriptors"):
            self.refused["descriptors"] += 1
            place = _last(self.room - total.connections)
        if not self.on:
            return place
        for level in budget.levels:
            bounds = level.bounds
            if level is not total and level.connections >= bounds.connections - bounds.spare:
                self.refused["connections"] += 1
                place = max(place, _last(bounds.connections - level.connections))
            elif level.strangers >= bounds.strangers - bounds.spare:
                if level is total:
                    self._drop_oldest("strangers")
                elif not self._drop_oldest_of(budget):
                    self.refused["address"] += 1
                    place = max(place, _last(bounds.strangers - level.strangers))
        return place

    def _drop_oldest_of(self, budget: Budget) -> bool:
        """Close an address's oldest stranger; False if it is younger than GRACE_SECONDS."""
        oldest = next(iter(budget.stranger_arrivals.items()), None)
        if oldest is None or perf_counter() - oldest[1] < GRACE_SECONDS:
            return False
        self.refused["address"] += 1
        oldest[0].drop("too many connections of your address wait to sign in")
        return True

    def _drop_oldest(self, why: str) -> bool:
        """Close the oldest stranger of the address with the most strangers; False if none."""
        most = max(self._budgets.values(), key=lambda b: len(b.stranger_arrivals), default=None)
        if most is None or not most.stranger_arrivals:
            return False
        self.refused[why] += 1
        next(iter(most.stranger_arrivals)).drop("too many connections have not signed in")
        return True

    def replace(self, budget: Budget, old: BudgetedConnection, new: BudgetedConnection) -> None:
        """Replace the object that represents a stranger."""
        budget.stranger_arrivals[new] = budget.stranger_arrivals.pop(old)

    def recognise(self, budget: Budget, connection: BudgetedConnection, known: bool) -> None:
        """Count a stranger as known, or a known connection as a stranger."""
        if known:
            del budget.stranger_arrivals[connection]
        else:
            budget.stranger_arrivals[connection] = perf_counter()
        for level in budget.levels:
            level.strangers += -1 if known else 1

    def leave(self, budget: Budget, connection: BudgetedConnection) -> None:
        """Remove a connection from the budget, because it has ended or moved to another one."""
        was_stranger = budget.stranger_arrivals.pop(connection, None) is not None
        for level in budget.levels:
            level.connections -= 1
            level.strangers -= was_stranger


def _last(free: int) -> Place:
    """Return the place that is left when only spare places may be free."""
    return Place.SPARE if free > 0 else Place.NONE


def _fit(bounds: Bounds, room: int) -> Bounds:
    """Lower the bounds if `room` is small, so that no address can use all of it."""
    return replace(
        bounds,
        strangers=min(bounds.strangers, room // 2),
        connections=min(bounds.connections, room * 3 // 4),
        spare=min(bounds.spare, room // 16),
    )


assert STRANGER_FRAME < MAX_FRAME
