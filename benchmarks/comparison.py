"""Comparison of servers: in each round they alternate on each workload."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import uvloop

from benchmarks.load import Load, Outcome
from benchmarks.processes import Cores
from benchmarks.results import About, Run, Setting
from benchmarks.servers.server import DISK, Server
from benchmarks.workloads import WORKLOADS

RUN_LIMIT = 900.0
"""Seconds for one run including its setup; most of them are needed for sign-ins."""
SYNCS = 200


@dataclass(frozen=True)
class Comparison:
    servers: Sequence[type[Server]]
    workloads: Sequence[str]
    load: Load
    rounds: int
    cores: Cores

    def setting(self) -> Setting:
        about = {
            server.name: About(stores=server.stores, synced=server.synced, version=server.version())
            for server in self.servers
        }
        return Setting(
            servers=about,
            apart=self.cores.apart,
            rounds=self.rounds,
            seconds=self.load.seconds,
            sync_ms=round(sync_seconds() * 1000, 3),
        )

    def runs(self) -> Iterator[Run]:
        """Run the comparison; yield a Run for each server, workload, size and round."""
        for number in range(1, self.rounds + 1):
            for workload in self.workloads:
                for size in WORKLOADS[workload].sizes(self.load):
                    for server in filter(WORKLOADS[workload].runs_on, self.servers):
                        yield self._quietest(number, workload, size, server)

    def _quietest(self, number: int, workload: str, size: int, server: type[Server]) -> Run:
        """Return the first quiet run; if all were noisy, the quietest."""
        tries: list[Run] = []
        most = 1 + (self.load.repeats if WORKLOADS[workload].timed else 0)
        while len(tries) < most:
            outcome, error = Outcome(), ""
            try:
                outcome = measured(server, self.cores, self.load, workload, size)
            except Exception as failure:  # noqa: BLE001 - one server's failure must not end the comparison
                error = sentence(failure)
            run = Run(
                round=number,
                server=server.name,
                workload=workload,
                size=size,
                figures=outcome.figures,
                faults=outcome.faults,
                error=error,
            )
            tries.append(run)
            # A failed run is returned even if it was noisy, so that noise hides no failure.
            if not run.sound or not run.noisy:
                return run
            used = run.figures["others_cpu"]
            note(f"  not quiet: others used {used} % of a core while {server.name} ran")
        return min(tries, key=lambda run: run.figures["others_cpu"])


def measured(
    server_class: type[Server], cores: Cores, load: Load, workload: str, size: int
) -> Outcome:
    """Run one workload on an empty server, which is removed afterwards with its data."""

    async def run() -> Outcome:
        server = server_class(cores)
        try:
            async with asyncio.timeout(RUN_LIMIT):
                await server.start()
                return await WORKLOADS[workload].run(server, load, size)
        finally:
            server.discard()

    gc.collect()
    gc.disable()  # its pauses would count as the server's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())
    finally:
        gc.enable()


def note(text: str) -> None:
    """Print progress to standard error; standard output is for the tables."""
    print(text, file=sys.stderr, flush=True)


def sentence(failure: BaseException) -> str:
    """Return the reason of a failure; of a group of exceptions, the first."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return f"{type(failure).__name__}: {failure}"[:500]


def sync_seconds() -> float:
    """Return the median time in which the disk of the data folders syncs 4 KiB, in seconds."""
    took = []
    with tempfile.TemporaryFile(dir=DISK) as file:
        for _ in range(SYNCS):
            begin = perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            took.append(perf_counter() - begin)
    return median(took)
