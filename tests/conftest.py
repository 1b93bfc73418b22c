"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import KINDS, Cluster, missing
from tests.realserver import RealServer

pytest_plugins = ["tests.leftovers", "tests.quick", "tests.skips"]


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


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """What gives the URL of an empty database, in a folder if it is a file.

    A test that asks for this, or for `database_url`, runs once with each kind.
    """
    if request.param == "sqlite":
        return lambda folder: f"sqlite:///{folder / 'chat.db'}"
    cluster: Cluster = request.getfixturevalue("cluster")
    return lambda folder: cluster.fresh_realm()


@pytest.fixture
def database_url(database_kind: Callable[[Path], str], tmp_path: Path) -> str:
    """The URL of an empty database of one test."""
    return database_kind(tmp_path)


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
