"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realserver import RealServer

pytest_plugins = ["tests.skips"]


@pytest.fixture
def real_server(tmp_path: Path) -> Iterator[RealServer]:
    """A server process that has started; it ends with the test."""
    server = RealServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server for all tests of a module that do not stop theirs: starting costs more."""
    server = RealServer(tmp_path_factory.mktemp("lasting"))
    server.start()
    yield server
    server.kill()
