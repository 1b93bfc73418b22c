"""The help texts of the server's options."""

from __future__ import annotations

import argparse

import pytest

from ws_server.settings import Settings

OFF = ("public", "hosts", "tls_cert", "tls_key", "config")
"""Options without a default: each adds something."""


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_help_of_an_option_shows_its_default_and_its_unit(name: str) -> None:
    parser = argparse.ArgumentParser()
    Settings.add_arguments(parser)
    (text,) = (action.help or "" for action in parser._actions if action.dest == name)
    if name not in OFF:
        assert "(default: " in text
    if name.startswith("max_") or name == "reserve":
        assert "in MiB" in text
