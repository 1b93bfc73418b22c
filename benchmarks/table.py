"""The results as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from benchmarks.results import Results, Run, Setting
from benchmarks.servers import OURS, REFERENCE
from benchmarks.summary import Summary, sizes
from benchmarks.workloads import OVERLOADED

BUSY = 90.0
"""Percent of its core above which the generator may limit the figures, not the server."""


@dataclass(frozen=True)
class Section:
    title: str
    main: str
    """The figure that ratios are computed from."""
    ratios_of: str
    columns: dict[str, str]
    """Headings of figures."""
    bounded: bool = False
    """Whether the generator may limit the figures."""
    priced: bool = True
    """Whether to show the server's CPU time for each delivery."""


PRICE = "µs of CPU each"
MILLISECONDS = {"p50_ms": "p50 ms", "p99_ms": "p99 ms"}
FRESH = {
    "rate": "messages/s",
    "warm_rate": "messages/s when all is warm",
    "of_warm": "of warm",
    **MILLISECONDS,
    "worst_ms": "worst ms",
}
SECTIONS = {
    "private": Section(
        "Private messages, {size:,} of each sender in flight",
        "rate",
        "messages/s",
        {"rate": "messages/s", **MILLISECONDS},
        bounded=True,
    ),
    "open": Section(
        "Private messages, {size:,} offered each second",
        "p50_ms",
        "p50",
        {
            "rate": "delivered/s",
            **MILLISECONDS,
            "worst_ms": "worst ms",
            "bare_worst_ms": "worst bare commit ms",
        },
    ),
    "first": Section(
        "First messages of all conversations, {size:,} of each writer in flight",
        "rate",
        "messages/s",
        FRESH,
    ),
    "cold": Section(
        "First messages after a restart, {size:,} of each writer in flight",
        "rate",
        "messages/s",
        FRESH,
    ),
    "group": Section(
        "A group of {size:,}, one message at a time",
        "rate",
        "deliveries/s",
        {"rate": "deliveries/s", "broadcast_ms": "ms until the last has it", **MILLISECONDS},
        bounded=True,
    ),
    "idle": Section(
        "{size:,} idle connections",
        "kib",
        "memory",
        {"kib": "KiB each", "base_mib": "MiB without them", "rate": "sign-ins/s"},
        priced=False,
    ),
    "return": Section(
        "{size:,} people with 20 conversations each come back at once",
        "rate",
        "people/s",
        {
            "rate": "people/s",
            "seconds": "s until the last",
            "missed_rate": "people/s, 40 messages missed",
            "missed_seconds": "s until the last",
            **{figure: f"a friend's message: {name}" for figure, name in MILLISECONDS.items()},
        },
    ),
}


def markdown(results: Results) -> str:
    """Return all tables with their titles; the figures are medians over rounds."""
    parts = [*opening(results.setting), *servers(results.setting)]
    for workload, size in sizes(results):
        parts += section(results, workload, size)
    return "\n".join(parts) + "\n"


def opening(setting: Setting) -> Iterator[str]:
    cores = (
        "A server (with its database) and the load generator have a core each"
        if setting.apart
        else "Servers and the load generator share **one core**"
    )
    yield (
        f"Medians over rounds ({setting.rounds}) of {setting.seconds:g} s. {cores}; the disk syncs "
        f"4 KiB in {setting.sync_ms:g} ms. Ratios are medians of ratios within a round."
    )


def servers(setting: Setting) -> Iterator[str]:
    yield from header(["server", "stores", "synced before the push", "version"], ":--")
    for name, about in setting.servers.items():
        yield row([name, about.stores, "yes" if about.synced else "no", about.version])


def section(results: Results, workload: str, size: int) -> Iterator[str]:
    form, summary = SECTIONS[workload], Summary(results, workload, size)
    compared = [name for name in (REFERENCE, *OURS) if summary.counted(name)]
    yield f"\n### {form.title.format(size=size)}"
    yield from header(
        [
            "server",
            *form.columns.values(),
            *([PRICE] if form.priced else []),
            *(heading(name, form) for name in compared),
            "CPU % of server, generator",
            "rounds",
            "notes",
        ],
        "--:",
    )
    for server in summary.runs:
        cells = [number(summary.median(server, figure)) for figure in form.columns]
        if form.priced:
            cells.append(number(price(summary.counted(server))))
        for name in compared:
            above, below = (server, name) if name == REFERENCE else (name, server)
            ratio = None if above == below else summary.ratio(above, below, form.main)
            cells.append(number(ratio))
        cpu = [summary.median(server, f"{who}_cpu") for who in ("server", "generator")]
        cells += [
            ", ".join(f"{percent:.0f}" for percent in cpu if percent is not None),
            str(len(summary.counted(server))),
        ]
        yield row([server, *cells, "; ".join(notes(results, summary, server, form))])


def price(runs: Iterable[Run]) -> float | None:
    """Return the median CPU time of a server and its database for a delivery, in µs."""
    prices = [
        10_000 * run.figures["server_cpu"] / run.figures["rate"]
        for run in runs
        if run.figures["rate"]
    ]
    return median(prices) if prices else None


def heading(name: str, form: Section) -> str:
    if name == REFERENCE:
        return f"{form.ratios_of} ÷ {REFERENCE}"
    return f"{name} ÷ this"


def notes(results: Results, summary: Summary, server: str, form: Section) -> Iterator[str]:
    runs, counted = summary.runs[server], summary.counted(server)
    for fault, count in summary.faults(server).items():
        yield f"**{count:,} {fault}**"
    yield from (f"**{run.error}**" for run in runs if run.error)
    if not counted:
        return
    if form.bounded and (summary.median(server, "generator_cpu") or 0) >= BUSY:
        yield "a lower bound: the generator is busy"
    offered = summary.median(server, "offered")
    if offered and (summary.median(server, "rate") or 0) < OVERLOADED * offered:
        yield "overloaded"
    if any(run.noisy for run in counted):
        yield "others were busy too"
    stores = results.setting.servers[server].stores != "nothing"
    if stores and "sent" in counted[0].figures and all(run.sound for run in runs):
        yield "store exact"


def header(cells: list[str], alignment: str) -> Iterator[str]:
    yield ""
    yield row(cells)
    yield row([":--", *[alignment] * (len(cells) - 2), ":--"])


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"


def number(value: float | None) -> str:
    """Return three digits, or all digits of a greater whole number; empty for None."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
