"""How much of everything a workload does, its people, and what it finds out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.ledger import Ledger
from benchmarks.servers.server import Client, Server
from benchmarks.waiting import each, until

SIGN_INS_AT_ONCE = 50
DRAIN_LIMIT = 90.0
"""Seconds that a server gets to deliver what it was sent, before it counts as lost."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is of everything; times in seconds."""

    people: int = 100
    in_flight: tuple[int, ...] = (1, 8)
    rates: tuple[int, ...] = (1000, 3000)
    members: tuple[int, ...] = (200, 1000)
    connections: tuple[int, ...] = (2000,)
    returning: tuple[int, ...] = (500, 2000)
    fresh: tuple[int, ...] = (64,)
    """Messages that each writer has in flight when all conversations are new or not cached."""
    writers: int = 20
    readers: int = 280
    """Everybody of the former writes to everybody of the latter."""
    seconds: float = 5.0
    warm_up: float = 1.0
    settle: float = 0.5
    repeats: int = 2
    """How often a run that was not quiet is done again at most."""


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
"""To see that everything works; its figures mean little."""


@dataclass(slots=True)
class Outcome:
    figures: dict[str, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)


async def people(server: Server, load: Load, count: int) -> list[Client]:
    """Register and sign in people, and let the server settle."""
    await server.register(count)
    return await signed_in(server, load, count)


async def signed_in(server: Server, load: Load, count: int) -> list[Client]:
    """Sign in people who are registered, and let the server settle."""
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
    """Wait for what is under way, then compare what came and what the store holds with what was
    sent, all of it, not only the measured part."""
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
    """Return p50, p99 and the worst in milliseconds; nothing of nothing."""
    if not nanoseconds:
        return {}
    ordered = sorted(nanoseconds)
    found = {f"p{percent}_ms": ordered[len(ordered) * percent // 100] for percent in (50, 99)}
    found["worst_ms"] = ordered[-1]
    return {name: round(time / 1e6, 3) for name, time in found.items()}
