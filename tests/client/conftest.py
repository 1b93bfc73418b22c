"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client.people import People
from tests.proxy import Proxy
from tests.realserver import RealServer


@pytest.fixture
async def people(server: RealServer) -> AsyncIterator[People]:
    """Clients of a server that lasts for the module."""
    async with People(server.url) as opened:
        yield opened


@pytest.fixture
async def proxy(server: RealServer) -> AsyncIterator[Proxy]:
    """A bad network before that server."""
    async with Proxy(server.port) as between:
        yield between
