"""The sizes of a workload, its clients, and its results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.ledger import Ledger
from benchmarks.servers.server import Client, Server
from benchmarks.waiting import each, until

SIGN_INS_AT_ONCE = 50
DRAIN_LIMIT = 90.0
"""Seconds until an undelivered text counts as lost."""


@dataclass(frozen=True, slots=True)
class Load:
    """The sizes of all workloads; times in seconds."""

    people: int = 100
    in_flight: tuple[int, ...] = (1, 8)
    rates: tuple[int, ...] = (1000, 3000)
    members: tuple[int, ...] = (200, 1000)
    connections: tuple[int, ...] = (2000,)
    returning: tuple[int, ...] = (500, 2000)
    fresh: tuple[int, ...] = (64,)
    """Messages in flight for each writer while conversations are new or not cached."""
    writers: int = 20
    readers: int = 280
    """Every writer writes to every reader."""
    seconds: float = 5.0
    warm_up: float = 1.0
    settle: float = 0.5
    repeats: int = 2
    """Maximum repetitions of a run that was not quiet."""


QUICK = Load(
    people=6,
    in_flight=(8,),
    rates=(500,),
    members=(10,),
    connections=(10,),
    returning=(10,),
    fresh=(8,),
    writers=3,
    readers=5,
    seconds=0.5,
    warm_up=0.2,
    settle=0.2,
    repeats=0,
)
"""A functional check; its figures mean little."""


@dataclass(slots=True)
class Outcome:
    figures: dict[str, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)


async def people(server: Server, load: Load, count: int) -> list[Client]:
    """Register and sign in people, then wait `load.settle` seconds."""
    await server.register(count)
    return await signed_in(server, load, count)


async def signed_in(server: Server, load: Load, count: int) -> list[Client]:
    """Sign in registered people, then wait `load.settle` seconds."""
    clients = await each(server.sign_in, range(count), SIGN_INS_AT_ONCE)
    await asyncio.sleep(load.settle)
    return clients


async def audited(
    server: Server,
    clients: Sequence[Client],
    ledger: Ledger,
    outcome: Outcome,
    *,
    copies: int | None = None,
) -> Outcome:
    """Wait for the remaining deliveries, then compare all texts sent, measured or not, with those
    delivered and stored."""
    await until(
        lambda: ledger.complete or any(client.connection.broken for client in clients),
        DRAIN_LIMIT,
    )
    faults = {
        "lost": ledger.lost,
        "doubled": ledger.doubled,
        "out of order": ledger.disordered,
        "stray": ledger.stray,
        "connections lost": sum(bool(client.connection.broken) for client in clients),
    }
    if server.copies:
        kept = await server.stored()
        faults["wrong in the store"] = ledger.misstored(kept, copies or server.copies)
    outcome.figures["sent"] = ledger.sent
    outcome.faults = {fault: count for fault, count in faults.items() if count}
    return outcome


def percentiles(nanoseconds: list[int]) -> dict[str, float]:
    """Return p50, p99 and the maximum in milliseconds; empty without latencies."""
    if not nanoseconds:
        return {}
    ordered = sorted(nanoseconds)
    found = {f"p{percent}_ms": ordered[len(ordered) * percent // 100] for percent in (50, 99)}
    found["worst_ms"] = ordered[-1]
    return {name: round(time / 1e6, 3) for name, time in found.items()}
