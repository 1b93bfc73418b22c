"""Two realms that know each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.federation.handmade import Stage
from tests.federation.two_realms import TwoRealms
from tests.realserver import RealServer


@pytest.fixture(scope="module")
def lasting_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRealms]:
    """Two realms for all tests of a module that do not stop theirs."""
    pair = TwoRealms(tmp_path_factory.mktemp("pair"))
    pair.start()
    yield pair
    pair.kill()


@pytest.fixture
async def pair(lasting_pair: TwoRealms) -> AsyncIterator[TwoRealms]:
    """The lasting realms, linked; who signs in through it is signed out with the test."""
    await lasting_pair.link()
    yield lasting_pair
    await lasting_pair.leave()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A realm for a test that plays the other ones by hand, frame by frame."""
    server = RealServer(tmp_path, "--realm", "beta")
    server.start()
    made = Stage(server)
    yield made
    await made.leave()
    server.kill()
