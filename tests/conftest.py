"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, missing
from tests.realserver import RealServer

pytest_plugins = ["tests.skips"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL for all tests of this process."""
    if why := missing():
        pytest.skip(why)
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of one test; it runs once with each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'chat.db'}"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.fresh_realm()


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
