"""What is done to a server. Each workload takes a started server and returns an Outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, perf_counter_ns

from benchmarks.ledger import Ledger
from benchmarks.processes import Meter, resident_bytes
from benchmarks.servers.server import Client, Server
from benchmarks.ticker import Ticker
from benchmarks.waiting import each, until

SIGN_INS_AT_ONCE = 50
DRAIN_LIMIT = 90.0
"""Seconds that a server gets to deliver what it was sent, before it counts as lost."""
FRIENDS = 10
"""People on either side with whom each has a conversation."""
MISSED = 2
"""Messages of each conversation that were missed."""
TALK_SECONDS = 0.01
OVERLOADED = 0.95
"""Share of the offered rate that a server has to deliver."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is of everything; times in seconds."""

    people: int = 100
    in_flight: tuple[int, ...] = (1, 8)
    rates: tuple[int, ...] = (1000, 3000)
    members: tuple[int, ...] = (200, 1000)
    connections: tuple[int, ...] = (2000,)
    returning: tuple[int, ...] = (500, 2000)
    seconds: float = 5.0
    warm_up: float = 1.0
    settle: float = 0.5
    repeats: int = 2
    """How often a run that was not quiet is done again at most."""

    def sizes(self, workload: str) -> tuple[int, ...]:
        sizes: tuple[int, ...] = getattr(self, WORKLOADS[workload].varies)
        return sizes


QUICK = Load(
    people=6,
    in_flight=(8,),
    rates=(500,),
    members=(10,),
    connections=(10,),
    returning=(10,),
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


Workload = Callable[[Server, Load, int], Awaitable[Outcome]]


async def private(server: Server, load: Load, in_flight: int) -> Outcome:
    """Closed loop: everybody keeps so many messages to a partner in flight; the next goes out
    when one of them is delivered."""
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
    """So many messages a second, whatever the server does. How late the generator itself was
    against its schedule is a figure of its own (`late_p99_ms`)."""
    clients = await people(server, load, load.people)
    ledger = Ledger([receiver ^ 1 for receiver in range(load.people)])
    spacing = 10**9 // rate
    lateness: list[int] = []
    begin = perf_counter_ns()

    def on_tick() -> None:
        now = perf_counter_ns()
        while (due := begin + ledger.sent * spacing) <= now:
            lateness.append(now - due)
            sender = ledger.sent % load.people
            clients[sender].send(sender ^ 1, ledger.write(sender))

    for client in clients:
        client.on_message = partial(ledger.book, client.user)
    with Ticker(min(spacing / 1e9, 0.0005), on_tick):
        await asyncio.sleep(load.warm_up)
        meter, sent = Meter(server.pids), ledger.sent
        lateness.clear()
        latencies = ledger.measure()
        await asyncio.sleep(load.seconds)
        figures, offered, delivered = meter.read(), ledger.sent - sent, len(latencies)
    # The measured seconds are over, but what was sent in them still counts when it comes.
    figures["rate"] = round(delivered / figures["seconds"])
    figures["offered"] = round(offered / figures["seconds"])
    figures["late_p99_ms"] = percentiles(lateness)["p99_ms"]
    outcome = await audited(server, clients, ledger, Outcome(figures))
    figures |= percentiles(latencies)
    return outcome


async def group(server: Server, load: Load, members: int) -> Outcome:
    """One member writes; the next message goes out when the last member has the one before."""
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
    """Resident memory of a signed-in connection that does nothing, on a server just started."""
    await server.register(connections)
    await server.restart()
    for user in range(10):  # what the first sign-ins load is not theirs
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


async def come_back(server: Server, load: Load, count: int) -> Outcome:
    """Everybody comes back at once after a restart: first where nothing was missed, then where two
    messages of each conversation were. Meanwhile somebody writes to a friend."""
    clients = await people(server, load, count + 2)
    friends = min(FRIENDS, (count - 1) // 2)
    circle = {i: [(i + k) % count for k in range(-friends, friends + 1) if k] for i in range(count)}
    await talk(server, clients, circle, friends)
    tokens = [client.token for client in clients]
    outcome = Outcome()
    for missed in (0, MISSED):
        await server.restart()
        await asyncio.sleep(2 * load.settle)
        talkers = [await server.come_back(count + i, tokens[count + i], {}) for i in range(2)]
        latencies: list[int] = []
        talkers[1].on_message = lambda text: latencies.append(perf_counter_ns() - int(text))  # noqa: B023
        meter = Meter(server.pids)
        with Ticker(TALK_SECONDS, lambda: talkers[0].send(count + 1, str(perf_counter_ns()))):  # noqa: B023
            got = await each(
                lambda i: server.come_back(i, tokens[i], dict.fromkeys(circle[i], 3 - missed)),  # noqa: B023
                range(count),
                count,
            )
            figures = meter.read()
            await until(lambda: bool(latencies), DRAIN_LIMIT)  # noqa: B023
        name = "missed_" if missed else ""
        for figure, value in percentiles(latencies).items():
            figures[figure] = value
        figures["rate"] = round(count / figures["seconds"])
        outcome.figures |= {name + figure: value for figure, value in figures.items()}
        wrong = sum(client.missed != missed * 2 * friends for client in got)
        lost = sum(bool(client.connection.broken) for client in (*got, *talkers))
        faults = {f"{name}wrong in the answer": wrong, f"{name}connections lost": lost}
        outcome.faults |= {fault: times for fault, times in faults.items() if times}
        for client in (*got, *talkers):
            await client.connection.close()
    return outcome


async def talk(
    server: Server, clients: Sequence[Client], circle: Mapping[int, Sequence[int]], friends: int
) -> None:
    """Let everybody have three messages in each conversation, and read them."""
    received = 0

    def on_message(text: bytes) -> None:
        nonlocal received
        received += 1

    for client in clients:
        client.on_message = on_message
    for turn in range(3):
        for i, others in circle.items():
            for other in others[friends:]:
                sender, to = (other, i) if turn % 2 else (i, other)
                clients[sender].send(to, f"{turn}{'x' * 63}")
        wanted = (turn + 1) * len(circle) * friends
        await until(lambda: received >= wanted, DRAIN_LIMIT)  # noqa: B023
    for i, others in circle.items():
        await server.read(clients[i], dict.fromkeys(others, 3))
    for client in clients:
        await client.connection.close()


@dataclass(frozen=True, slots=True)
class Kind:
    run: Workload
    varies: str
    """The field of Load that lists its sizes."""
    timed: bool = True
    """Whether others who use the machine meanwhile change the main figure."""
    runs_on: Callable[[type[Server]], bool] = lambda server: True
    """Whether a server can do that at all."""


WORKLOADS = {
    "private": Kind(private, "in_flight"),
    "open": Kind(open_loop, "rates"),
    "group": Kind(group, "members"),
    "idle": Kind(idle, "connections", timed=False),
    "return": Kind(come_back, "returning", runs_on=lambda server: server.keeps_places),
}


async def people(server: Server, load: Load, count: int) -> list[Client]:
    """Register and sign in people, and let the server settle."""
    await server.register(count)
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
    """Return p50 and p99 in milliseconds; nothing of nothing."""
    if not nanoseconds:
        return {}
    ordered = sorted(nanoseconds)
    return {
        f"p{percent}_ms": round(ordered[len(ordered) * percent // 100] / 1e6, 3)
        for percent in (50, 99)
    }
