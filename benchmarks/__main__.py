"""`./chat bench`: this server, a plain relay, ejabberd and Prosody; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import dataclasses
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.comparison import Comparison, note
from benchmarks.load import QUICK, Load
from benchmarks.picture import draw
from benchmarks.processes import Cores
from benchmarks.results import Results, Run, as_line
from benchmarks.servers import OURS, SERVERS
from benchmarks.servers.server import Server
from benchmarks.stopping import STOP
from benchmarks.table import markdown
from benchmarks.workloads import WORKLOADS

RESULTS, TABLE = "results.jsonl", "results.md"
ROUNDS = 3
STOPPED = 130
"""Exit code after SIGINT or SIGTERM, as in shells."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./chat bench", description=__doc__)
    parser.add_argument(
        "--servers",
        type=listed(SERVERS),
        help=f"servers, separated by commas: {', '.join(SERVERS)} (default: all installed)",
    )
    parser.add_argument(
        "--workloads", type=listed(WORKLOADS), default=list(WORKLOADS), help=", ".join(WORKLOADS)
    )
    parser.add_argument(
        "--rounds", type=rounds, help="rounds, in each of which every server runs once (default: 3)"
    )
    parser.add_argument("--seconds", type=seconds, help="seconds of each run (default: 5)")
    parser.add_argument(
        "--repeats",
        type=int,
        choices=range(10),
        metavar="0..9",
        help="most repetitions of a run that other programs disturbed (default: 2)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="run little of everything, to test that it works"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench"),
        help=f"folder for {TABLE} and {RESULTS} (default: bench)",
    )
    parser.add_argument(
        "--picture", type=Path, help="SVG file in which to draw the messages a second"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help=f"run nothing; make table and picture from OUT/{RESULTS}",
    )
    options = parser.parse_args(words)
    if options.again and not (options.out / RESULTS).exists():
        parser.error(f"--again: there is no {options.out / RESULTS}")
    if options.picture and "private" not in options.workloads:
        parser.error("--picture shows the workload private, so that has to be run")
    if options.picture and not options.picture.parent.is_dir():
        parser.error(f"--picture: there is no folder {options.picture.parent}")
    return options


def listed(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a parser for comma-separated lists of known names, in their usual order."""
    names = list(known)

    def read(text: str) -> list[str]:
        wanted = text.split(",")
        if strangers := [name for name in wanted if name not in names]:
            raise argparse.ArgumentTypeError(
                f"there is no {', '.join(strangers)}; there are {', '.join(names)}"
            )
        return [name for name in names if name in wanted]

    return read


def rounds(text: str) -> int:
    return int(bounded(int(text)))


def seconds(text: str) -> float:
    return bounded(float(text))


def bounded(number: float) -> float:
    if not 0 < number < 1000:
        raise argparse.ArgumentTypeError("must be above 0 and below 1000")
    return number


def chosen(names: list[str] | None) -> list[type[Server]]:
    """Return the servers to compare; print those missing and how to install them.

    Raises:
        SystemExit: a server that was requested cannot run here.
    """
    missing = {name: SERVERS[name].missing() for name in names or SERVERS}
    absent = [f"{name}: {help}" for name, help in missing.items() if help]
    if names and absent:
        raise SystemExit("Cannot run " + "\n           ".join(absent))
    for line in absent:
        note(f"left out {line}")
    return [SERVERS[name] for name in missing if not missing[name]]


def compared(options: argparse.Namespace) -> Results:
    """Run the comparison, and save every result at once."""
    load = QUICK if options.quick else Load()
    changes = {name: getattr(options, name) for name in ("seconds", "repeats")}
    given = {name: value for name, value in changes.items() if value is not None}
    load = dataclasses.replace(load, **given)
    count = options.rounds or (1 if options.quick else ROUNDS)
    servers = chosen(options.servers)
    STOP.listen()
    cores = Cores.found()
    if not cores.apart:
        note("There is one core only: servers and load generator share it, so mind the ratios.")
    cores.pin_generator()
    # Every connection needs a file descriptor, here and in the servers, which inherit the limit.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    comparison = Comparison(servers, options.workloads, load, count, cores)
    results = Results(comparison.setting(), [])
    with open(options.out / RESULTS, "w", encoding="utf-8") as file:
        file.write(as_line(results.setting))
        for run in comparison.runs():
            results.runs.append(run)
            file.write(as_line(run))
            file.flush()
            note(f"round {run.round} of {count}, {run.workload} {run.size}, {shown(run)}")
    return results


def shown(run: Run) -> str:
    what = run.error or f"{run.figures['rate']:,}/s"
    faults = "".join(f", {count} {fault}" for fault, count in run.faults.items())
    return f"{run.server}: {what}{faults}"


def main(words: Sequence[str] | None = None) -> int:
    options = arguments(words)
    if sys.platform != "linux":
        raise SystemExit("./chat bench runs on Linux only: it pins processes and reads /proc.")
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        results = Results.read(options.out / RESULTS) if options.again else compared(options)
    except KeyboardInterrupt:
        note("Stopped; --again shows what was measured so far.")
        return STOPPED
    text = markdown(results)
    (options.out / TABLE).write_text(text, encoding="utf-8")
    print(text)
    if options.picture:
        options.picture.write_text(draw(results), encoding="utf-8")
    failed = [run for run in results.runs if run.server in OURS and not run.sound]
    for run in failed:
        note(f"FAILED: {run.workload} {run.size} in round {run.round}, {shown(run)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
