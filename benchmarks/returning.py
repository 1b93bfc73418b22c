"""The workload `return`: all clients reconnect at once after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter_ns

from benchmarks.load import DRAIN_LIMIT, Load, Outcome, people, percentiles
from benchmarks.processes import Meter
from benchmarks.servers.server import Client, Server
from benchmarks.ticker import Ticker
from benchmarks.waiting import each, until

FRIENDS = 10
"""People on either side with whom each has a conversation."""
MISSED = 2
"""Missed messages of each conversation."""
TALK_SECONDS = 0.01
"""Seconds between two messages of the person who writes meanwhile."""


async def come_back(server: Server, load: Load, count: int) -> Outcome:
    """All clients reconnect at once after a restart: first with nothing missed, then with two
    missed messages in each conversation. Meanwhile one person writes to a friend."""
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
    """Send three messages in each conversation, and mark them read."""
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
