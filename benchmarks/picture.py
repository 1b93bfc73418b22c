"""The messages a second of each server as an SVG without scripts or embedded fonts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from benchmarks.load import Load
from benchmarks.results import Results
from benchmarks.servers import OURS
from benchmarks.summary import Summary, sizes

WIDTH, MARGIN = 420, 16
TITLE, LINE, ROW, BAR = 58, 24, 46, 14
PEOPLE = Load().people
FIRST = 100
"""The beginning of the axis, in messages a second."""

GROUPS = {
    "Each message on disk, synced, before it is delivered": True,
    "Nothing is kept": False,
}

STYLE = """
  text { font: 15px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }
  .title { font-size: 18px; font-weight: 600 }
  .small { font-size: 13px; fill: #59636e }
  .ours { font-weight: 600 }
  .back { fill: #ffffff; stroke: #d1d9e0 }
  .grid { stroke: #d1d9e0 }
  .kept { fill: #59636e; stroke: #59636e }
  .kept.ours { fill: #0969da; stroke: #0969da }
  .unkept { fill: none; stroke: #59636e; stroke-width: 2; stroke-dasharray: 5 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .back { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #3d444d }
    .kept { fill: #9198a1; stroke: #9198a1 }
    .kept.ours { fill: #4493f8; stroke: #4493f8 }
    .unkept { stroke: #9198a1 }
  }
"""


def draw(results: Results) -> str:
    """Return the picture of the workload `private` with the most messages in flight.

    Raises:
        ValueError: the results lack that workload.
    """
    in_flight = [size for workload, size in sizes(results) if workload == "private"]
    if not in_flight:
        raise ValueError("the picture shows the workload 'private', which was not run")
    summary = Summary(results, "private", max(in_flight))
    rates = {
        server: rate
        for server in summary.runs
        if (rate := summary.median(server, "rate")) is not None
    }
    parts = [
        f'<text class="title" x="{MARGIN}" y="30">Messages a second, one core</text>',
        f'<text class="small" x="{MARGIN}" y="50">{PEOPLE} people write in pairs, '
        f"{max(in_flight)} messages each in flight</text>",
    ]
    y = TITLE
    axis = Axis(max(rates.values(), default=FIRST))
    rows: list[str] = []
    for caption, synced in GROUPS.items():
        members = [server for server in rates if results.setting.servers[server].synced == synced]
        if not members:
            continue
        y += LINE
        rows.append(f'<text class="small" x="{MARGIN}" y="{y}">{caption}:</text>')
        for server in sorted(members, key=lambda server: -rates[server]):
            rows += bar(server, rates[server], synced, axis, y)
            y += ROW
        y += LINE // 3
    y += LINE
    caption = "logarithmic: each line is ten times the one before"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 40}" '
            f'width="{WIDTH}" role="img" aria-labelledby="t d">',
            '<title id="t">Messages a second of each server</title>',
            f'<desc id="d">{escape(described(results, rates))}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="back" x="0.5" y="0.5" width="{WIDTH - 1}" height="{y + 39}" rx="6"/>',
            *axis.lines(TITLE + 2 * LINE, y),
            *parts,
            *rows,
            f'<text class="small" x="{MARGIN}" y="{y + 30}">{caption}</text>',
            "</svg>",
            "",
        ]
    )


class Axis:
    """A logarithmic axis from FIRST to the power of ten above the greatest value."""

    def __init__(self, greatest: float) -> None:
        self._decades = max(1, math.ceil(math.log10(greatest / FIRST)))

    def at(self, value: float) -> float:
        share = math.log10(max(value, FIRST) / FIRST) / self._decades
        return MARGIN + share * (WIDTH - 2 * MARGIN)

    def lines(self, top: int, bottom: int) -> Iterator[str]:
        for decade in range(self._decades + 1):
            value = FIRST * 10**decade
            x = self.at(value)
            anchor = "start" if decade == 0 else "end" if decade == self._decades else "middle"
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom - 12}"/>'
            yield (
                f'<text class="small" x="{x:.1f}" y="{bottom + 4}" '
                f'text-anchor="{anchor}">{value:,}</text>'
            )


def bar(server: str, rate: float, synced: bool, axis: Axis, y: int) -> Iterator[str]:
    ours = " ours" if server in OURS else ""
    kind = "kept" if synced else "unkept"
    width = axis.at(rate) - MARGIN
    yield f'<text class="{ours.strip()}" x="{MARGIN}" y="{y + 22}">{escape(server)}</text>'
    yield (
        f'<text class="{ours.strip()}" x="{WIDTH - MARGIN}" y="{y + 22}" '
        f'text-anchor="end">{rounded(rate):,}</text>'
    )
    yield (
        f'<rect class="{kind}{ours}" x="{MARGIN}" y="{y + 28}" width="{width:.1f}" '
        f'height="{BAR}" rx="2"/>'
    )


def rounded(rate: float) -> int:
    """Round to three digits; further ones vary between runs."""
    return int(float(f"{rate:.3g}"))


def described(results: Results, rates: dict[str, float]) -> str:
    return "; ".join(
        f"{server} {rounded(rate):,}, "
        f"{'synced to disk' if results.setting.servers[server].synced else 'nothing kept'}"
        for server, rate in rates.items()
    )
