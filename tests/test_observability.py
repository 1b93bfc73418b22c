"""docs/observability.md names exactly what the server logs and measures."""

from __future__ import annotations

import ast
import re
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.realserver import ROOT, RealServer

PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
ALERTS = (ROOT / "docs" / "deploy" / "alerts.yml").read_text(encoding="utf-8")
LEVELS = {"exception": "error", **{level: level for level in "debug info warning error".split()}}
Event = tuple[str, str]


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table below a heading: the code in its first column, and all cells."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| `(.*?)` \|(.*)\|$", section, re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


def logged(tree: ast.AST) -> Iterator[tuple[Event, set[str]]]:
    """Yield (text, level) and the fields of each call that logs."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value)
        if node.func.attr not in LEVELS or not re.fullmatch(
            r"log(ger)?|logging(\.getLogger\(.*\))?", owner
        ):
            continue
        text = node.args[0]
        assert isinstance(text, ast.Constant), f"an event is one text: {ast.unparse(node)}"
        fields = {
            key.value
            for keyword in node.keywords
            if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict)
            for key in keyword.value.keys
            if isinstance(key, ast.Constant)
        }
        yield (re.sub(r"%[sdr]", "…", text.value), LEVELS[node.func.attr]), fields


def test_every_logged_event_is_explained_and_none_that_is_not_logged() -> None:
    found: dict[Event, set[str]] = {}
    folders = (ROOT / "ws_server", ROOT / "flet_app")
    programs = [path for folder in folders for path in folder.rglob("*.py")]
    # What all programs share; the client library is no program.
    for path in sorted([*programs, *(ROOT / "shared").glob("*.py")]):
        for event, fields in logged(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(event, set()).update(fields)
    explained = rows("The log")
    assert {(text, cells[0]) for text, cells in explained.items()} == set(found)
    for (text, _), fields in found.items():
        assert fields <= set(re.findall(r"`(\w+)`", explained[text][1])), text
        assert explained[text][2]


@pytest.mark.parametrize(
    "line, event",
    [
        ("log.info('serving', extra={'port': 1})", ("serving", "info")),
        ("log.exception('command %s failed', name)", ("command … failed", "error")),
        (
            "logging.getLogger(__name__).warning('%s is no setting', x)",
            ("… is no setting", "warning"),
        ),
        ("warnings.warn('x')", None),
    ],
)
def test_calls_that_log_are_found(line: str, event: Event | None) -> None:
    assert [found for found, _ in logged(ast.parse(line))] == [event] * (event is not None)


@pytest.fixture(scope="module")
def families(server: RealServer) -> dict[str, Metric]:
    """What a real server shows, under the names one asks Prometheus for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        found = list(text_string_to_metric_families(answer.read().decode()))
    return {
        family.name + ("_total" if family.type == "counter" else ""): family for family in found
    }


def test_every_metric_is_explained_and_none_that_is_not_shown(families: dict[str, Metric]) -> None:
    explained = rows("Metrics")
    assert set(explained) == set(families)
    for name, (kind, _, meaning, _) in explained.items():
        assert kind == families[name].type, name
        assert meaning, name
        for sample in families[name].samples:
            for label in sample.labels.keys() - {"le"}:
                assert f"`{label}`" in meaning, f"{name} has the label {label}"


def test_alerts_ask_for_metrics_that_are_shown(families: dict[str, Metric]) -> None:
    asked = set(re.findall(r"\b(?:chat|process)_\w+", ALERTS))
    assert asked
    assert {name.removesuffix("_bucket") for name in asked} <= set(families)
