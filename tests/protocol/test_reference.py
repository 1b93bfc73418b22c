"""docs/commands.md is generated, so it cannot be out of date."""

from shared.protocol.reference import markdown
from shared.protocol.spec import EVENTS, specs
from tests.realserver import ROOT


def test_the_reference_is_what_the_table_says() -> None:
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == markdown(), "run ./chat reference"


def test_the_reference_names_every_command_and_event() -> None:
    headings = {line.removeprefix("### ") for line in markdown().splitlines()}
    assert {spec.name for spec in specs()} | EVENTS.keys() <= headings
