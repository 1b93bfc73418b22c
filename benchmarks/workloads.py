"""The workloads. Each receives a started server and returns an Outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter, perf_counter_ns

from benchmarks.beginnings import cold, first
from benchmarks.commits import Commits
from benchmarks.ledger import Ledger
from benchmarks.load import (
    DRAIN_LIMIT,
    SIGN_INS_AT_ONCE,
    Load,
    Outcome,
    audited,
    people,
    percentiles,
)
from benchmarks.processes import Meter, resident_bytes
from benchmarks.returning import come_back
from benchmarks.servers.server import DISK, Server
from benchmarks.ticker import Ticker
from benchmarks.waiting import each, until

OVERLOADED = 0.95
"""Share of the offered rate that a server has to deliver."""


Workload = Callable[[Server, Load, int], Awaitable[Outcome]]


async def private(server: Server, load: Load, in_flight: int) -> Outcome:
    """Closed loop: each person has `in_flight` messages to a partner in flight; a delivery sends
    the next one."""
    clients = await people(server, load, load.people)
    ledger = Ledger([receiver ^ 1 for receiver in range(load.people)])
    goes_on = True

    def write_next(sender: int) -> None:
        clients[sender].send(sender ^ 1, ledger.write(sender))

    def on_message(receiver: int, text: bytes) -> None:
        ledger.book(receiver, text)
        if goes_on:
            write_next(receiver ^ 1)

    for client in clients:
        client.on_message = partial(on_message, client.user)
    for _ in range(in_flight):
        for sender in range(load.people):
            write_next(sender)
    await until(lambda: ledger.received >= load.people * in_flight, DRAIN_LIMIT)
    await asyncio.sleep(load.warm_up)

    meter = Meter(server.pids)
    latencies = ledger.measure()
    await asyncio.sleep(load.seconds)
    figures, ledger.latencies = meter.read(), None
    goes_on = False
    figures["rate"] = round(len(latencies) / figures["seconds"])
    return await audited(server, clients, ledger, Outcome(figures | percentiles(latencies)))


async def open_loop(server: Server, load: Load, rate: int) -> Outcome:
    """Open loop: `rate` messages a second, whatever the server does, measured from the very first
    one, which begins every conversation. The generator's delay against its schedule is a separate
    figure (`late_p99_ms`), and so is the maximum latency of a bare commit meanwhile."""
    clients = await people(server, load, load.people)
    ledger = Ledger([receiver ^ 1 for receiver in range(load.people)])
    spacing = 10**9 // rate
    lateness: list[int] = []
    latencies = ledger.measure()
    meter, begin = Meter(server.pids), perf_counter_ns()

    def on_tick() -> None:
        now = perf_counter_ns()
        while (due := begin + ledger.sent * spacing) <= now:
            lateness.append(now - due)
            sender = ledger.sent % load.people
            clients[sender].send(sender ^ 1, ledger.write(sender))

    for client in clients:
        client.on_message = partial(ledger.book, client.user)
    with Commits(DISK) as commits, Ticker(min(spacing / 1e9, 0.0005), on_tick):
        await asyncio.sleep(load.seconds)
        figures, offered, delivered = meter.read(), ledger.sent, len(latencies)
    # The measured seconds are over; messages sent in them count when they arrive.
    figures["rate"] = round(delivered / figures["seconds"])
    figures["offered"] = round(offered / figures["seconds"])
    figures["late_p99_ms"] = percentiles(lateness)["p99_ms"]
    figures["bare_worst_ms"] = round(max(commits.seconds, default=0.0) * 1000, 3)
    outcome = await audited(server, clients, ledger, Outcome(figures))
    figures |= percentiles(latencies)
    return outcome


async def group(server: Server, load: Load, members: int) -> Outcome:
    """One member writes; the delivery to the last member sends the next message."""
    clients = await people(server, load, members)
    await server.open_group(clients)
    await asyncio.sleep(load.settle)
    receivers = clients if server.echoes_groups else clients[1:]
    ledger = Ledger([0] * len(receivers))
    broadcasts = 0
    got_all = asyncio.Event()

    def on_message(receiver: int, text: bytes) -> None:
        ledger.book(receiver, text)
        if ledger.received == broadcasts * len(receivers):
            got_all.set()

    for receiver, client in enumerate(receivers):
        client.on_message = partial(on_message, receiver)

    async def broadcast() -> None:
        nonlocal broadcasts
        broadcasts += 1
        got_all.clear()
        clients[0].send_group(ledger.write(0))
        async with asyncio.timeout(DRAIN_LIMIT):
            await got_all.wait()

    async def broadcast_for(seconds: float) -> int:
        before, end = broadcasts, perf_counter() + seconds
        while perf_counter() < end or broadcasts < before + 3:
            await broadcast()
        return broadcasts - before

    await broadcast_for(load.warm_up)
    meter = Meter(server.pids)
    latencies = ledger.measure()
    done = await broadcast_for(load.seconds)
    figures = meter.read()
    figures["rate"] = round(done * len(receivers) / figures["seconds"])
    figures["broadcast_ms"] = round(figures["seconds"] * 1000 / done, 2)
    return await audited(
        server, clients, ledger, Outcome(figures | percentiles(latencies)), copies=1
    )


async def idle(server: Server, load: Load, connections: int) -> Outcome:
    """Resident memory for each signed-in idle connection, on a server just started."""
    await server.register(connections)
    await server.restart()
    for user in range(10):  # modules loaded at the first sign-ins are not theirs
        await (await server.sign_in(user)).connection.close()
    await asyncio.sleep(2 * load.settle)
    before = resident_bytes(server.pids)
    meter = Meter(server.pids)
    clients = await each(server.sign_in, range(connections), SIGN_INS_AT_ONCE)
    figures = meter.read()
    figures["rate"] = round(connections / figures["seconds"])
    await asyncio.sleep(6 * load.settle)
    grown = resident_bytes(server.pids) - before
    figures["kib"] = round(grown / connections / 1024, 1)
    figures["base_mib"] = round(before / 2**20, 1)
    broken = sum(bool(client.connection.broken) for client in clients)
    return Outcome(figures, {"connections lost": broken} if broken else {})


@dataclass(frozen=True, slots=True)
class Kind:
    run: Workload
    varies: str
    """The field of Load that lists the workload's sizes."""
    timed: bool = True
    """Whether other load on the machine changes the main figure."""
    runs_on: Callable[[type[Server]], bool] = lambda server: True
    """Whether a server supports the workload."""

    def sizes(self, load: Load) -> tuple[int, ...]:
        sizes: tuple[int, ...] = getattr(load, self.varies)
        return sizes


WORKLOADS = {
    "private": Kind(private, "in_flight"),
    "open": Kind(open_loop, "rates"),
    "first": Kind(first, "fresh"),
    "cold": Kind(cold, "fresh"),
    "group": Kind(group, "members"),
    "idle": Kind(idle, "connections", timed=False),
    "return": Kind(come_back, "returning", runs_on=lambda server: server.keeps_places),
}
