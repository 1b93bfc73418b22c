"""The picture: what it shows, and that it needs nothing but itself."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from benchmarks.picture import draw
from tests.benchmarks.fixed import results, run
from tests.realserver import ROOT

SVG = "{http://www.w3.org/2000/svg}"
FOUND = results(
    run(1, "relay", 50_123),
    run(1, "simple-chatting", 20_456),
    run(1, "ejabberd", 10_000),
    run(1, "ejabberd-postgresql", 1_000),
    run(1, "relay", 9, size=1),
)


def drawing(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def words(svg: str) -> list[str]:
    return [text.text or "" for text in drawing(svg).iter(f"{SVG}text")]


def bars(svg: str, kind: str) -> list[float]:
    return [
        float(bar.get("width", ""))
        for bar in drawing(svg).iter(f"{SVG}rect")
        if kind in (bar.get("class") or "").split()
    ]


def test_it_shows_every_server_with_three_digits() -> None:
    shown = words(draw(FOUND))
    for server, rate in {
        "relay": "50,100",
        "simple-chatting": "20,500",
        "ejabberd": "10,000",
        "ejabberd-postgresql": "1,000",
    }.items():
        assert shown[shown.index(server) + 1] == rate


def test_it_says_that_its_axis_is_logarithmic_and_is_right() -> None:
    svg = draw(FOUND)
    assert any("logarithmic" in text for text in words(svg))
    ours, postgresql = bars(svg, "kept")
    _, ejabberd = bars(svg, "unkept")
    # From 100, 1,000 is one decade and 10,000 are two.
    assert ejabberd == pytest.approx(2 * postgresql, abs=0.2)
    assert postgresql < ejabberd < ours


def test_what_is_kept_differs_by_more_than_its_colour() -> None:
    svg = draw(FOUND)
    assert len(bars(svg, "kept")) == len(bars(svg, "unkept")) == 2
    style = drawing(svg).findtext(f"{SVG}style") or ""
    assert re.search(r"\.unkept \{ fill: none;.*stroke-dasharray", style)
    captions = words(svg)
    kept, unkept = (
        next(i for i, text in enumerate(captions) if text.startswith(start))
        for start in ("Each message on disk", "Nothing is kept")
    )
    assert kept < captions.index("simple-chatting") < unkept < captions.index("relay")


def test_it_is_readable_in_the_dark_and_told_to_those_who_do_not_see() -> None:
    svg = draw(FOUND)
    assert "prefers-color-scheme: dark" in svg
    assert drawing(svg).get("role") == "img"
    assert "simple-chatting 20,500, synced to disk" in (drawing(svg).findtext(f"{SVG}desc") or "")


def test_without_that_workload_it_says_so() -> None:
    with pytest.raises(ValueError, match="'private'"):
        draw(results(run(1, "relay", 9, workload="group")))


@pytest.mark.parametrize("name", ["drawn", "docs/benchmarks.svg"])
def test_it_loads_and_runs_nothing(name: str) -> None:
    svg = draw(FOUND) if name == "drawn" else (ROOT / name).read_text()
    assert not {"script", "image", "foreignObject", "use"} & {
        element.tag.removeprefix(SVG) for element in drawing(svg).iter()
    }
    assert not re.search(r"@import|url\(|href", svg)
