"""Every admin command is in docs/administration.md, written as it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.admin.command import done
from tests.realserver import ROOT
from ws_server.admin.commands import TABLE, AdminCommand

MANUAL = (ROOT / "docs" / "administration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", TABLE.values(), ids=lambda command: command.name)
def test_every_command_is_documented_with_its_usage(command: AdminCommand) -> None:
    assert f"`{command.usage}`" in MANUAL


@pytest.mark.parametrize("name", TABLE)
def test_help_shows_the_same_usage_and_every_argument(name: str, tmp_path: Path) -> None:
    printed = done(*name.split(), "--help", data=tmp_path)
    words = " ".join(printed.split())
    assert f"python -m ws_server admin {TABLE[name].usage} [--data DATA]" in words
    assert TABLE[name].summary in words
    for argument in TABLE[name].arguments:
        assert argument.help in words
