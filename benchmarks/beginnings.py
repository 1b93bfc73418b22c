"""Workloads of conversations that are new, or not cached after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from time import perf_counter

from benchmarks.ledger import SENDER, Ledger
from benchmarks.load import DRAIN_LIMIT, Load, Outcome, audited, people, percentiles, signed_in
from benchmarks.processes import Meter
from benchmarks.servers.server import Client, Server


async def first(server: Server, load: Load, in_flight: int) -> Outcome:
    """Some people write to many others for the first time, then repeatedly."""
    crowd = Crowd(load, in_flight)
    crowd.clients = await people(server, load, crowd.size)
    return await crowd.compared(server)


async def cold(server: Server, load: Load, in_flight: int) -> Outcome:
    """The same, but all have written before, and the server was restarted meanwhile."""
    crowd = Crowd(load, in_flight)
    crowd.clients = await people(server, load, crowd.size)
    await crowd.write_to_all()
    await server.restart()
    crowd.clients = await signed_in(server, load, crowd.size)
    return await crowd.compared(server)


class Crowd:
    """Writers and readers; each writer writes to all readers, with a bound of messages in flight.

    The ledger counts by pair: one number stands for a writer and a reader.
    """

    def __init__(self, load: Load, in_flight: int) -> None:
        self.clients: Sequence[Client] = ()
        """All clients, the writers first."""
        self._load = load
        self._in_flight = in_flight
        self._pairs = load.writers * load.readers
        self._ledger = Ledger(range(self._pairs))
        self._written = [0] * load.writers
        self._got_all = asyncio.Event()

    @property
    def size(self) -> int:
        return self._load.writers + self._load.readers

    async def compared(self, server: Server) -> Outcome:
        """Write to all once, measured, then repeatedly for a time to compare with."""
        meter, latencies = Meter(server.pids), self._ledger.measure()
        await self.write_to_all()
        figures, self._ledger.latencies = meter.read(), None
        figures["rate"] = round(self._pairs / figures["seconds"])
        begin, passes = perf_counter(), 0
        while perf_counter() - begin < self._load.seconds or passes < 2:
            await self.write_to_all()
            passes += 1
        figures["warm_rate"] = round(passes * self._pairs / (perf_counter() - begin))
        figures["of_warm"] = round(figures["rate"] / figures["warm_rate"], 3)
        outcome = Outcome(figures | percentiles(latencies))
        return await audited(server, self.clients, self._ledger, outcome)

    async def write_to_all(self) -> None:
        """Write from every writer to every reader; return once all messages are delivered."""
        due = self._ledger.received + self._pairs
        self._written = [0] * self._load.writers
        self._got_all.clear()
        for client in self.clients:
            client.on_message = partial(self._on_message, client.user, due)
        for writer in range(self._load.writers):
            for _ in range(min(self._in_flight, self._load.readers)):
                self._write_next(writer)
        async with asyncio.timeout(DRAIN_LIMIT):
            await self._got_all.wait()

    def _write_next(self, writer: int) -> None:
        count, readers = self._written[writer], self._load.readers
        if count < readers:
            self._written[writer] = count + 1
            # Writers begin at different readers.
            reader = (writer * readers // self._load.writers + count) % readers
            text = self._ledger.write(writer * readers + reader)
            self.clients[writer].send(self._load.writers + reader, text)

    def _on_message(self, user: int, due: int, text: bytes) -> None:
        writer, reader = divmod(int(text[SENDER]), self._load.readers)
        if self._load.writers + reader != user:
            self._ledger.stray += 1
            return
        self._ledger.book(int(text[SENDER]), text)
        self._write_next(writer)
        if self._ledger.received == due:
            self._got_all.set()
