"""Medians over rounds, and ratios of runs of the same round."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.results import Results, Run


class Summary:
    """One workload with one size.

    Noisy runs count only for servers without a quiet run.
    """

    def __init__(self, results: Results, workload: str, size: int) -> None:
        self.runs: dict[str, list[Run]] = {}
        for run in results.runs:
            if (run.workload, run.size) == (workload, size):
                self.runs.setdefault(run.server, []).append(run)

    def counted(self, server: str) -> list[Run]:
        """Return the runs of a server that count; empty if it failed or did not run."""
        measured = [run for run in self.runs.get(server, ()) if not run.error]
        return [run for run in measured if not run.noisy] or measured

    def values(self, server: str, figure: str) -> list[float]:
        return [run.figures[figure] for run in self.counted(server) if figure in run.figures]

    def median(self, server: str, figure: str) -> float | None:
        values = self.values(server, figure)
        return median(values) if values else None

    def ratio(self, server: str, other: str, figure: str) -> float | None:
        """Return the median of a figure's ratio over the rounds."""
        above, below = (
            {run.round: run.figures.get(figure, 0.0) for run in self.counted(name)}
            for name in (server, other)
        )
        ratios = [
            above[number] / below[number]
            for number in above.keys() & below.keys()
            if below[number] > 0
        ]
        return median(ratios) if ratios else None

    def faults(self, server: str) -> dict[str, int]:
        """Return the faults of all runs, whether they count or not."""
        return total(run.faults for run in self.runs.get(server, ()))


def total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    summed: dict[str, int] = {}
    for faults in counts:
        for fault, count in faults.items():
            summed[fault] = summed.get(fault, 0) + count
    return summed


def sizes(results: Results) -> list[tuple[str, int]]:
    """Return the workloads and sizes of the runs, in order."""
    return list(dict.fromkeys((run.workload, run.size) for run in results.runs))
