"""Fixtures of the terminal client's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.people import People, Told, new_name
from tests.realserver import RealServer


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
async def people(server: RealServer) -> AsyncIterator[People]:
    """Clients of a server that lasts for the module."""
    async with People(server.url) as opened:
        yield opened


@pytest.fixture
async def ana(people: People) -> Told:
    """Somebody to talk with."""
    return await people.join(new_name("ana"))


@pytest.fixture
async def bob(people: People) -> str:
    """The name of an account with the password `secret-NAME`, which nobody uses yet."""
    name = new_name("bob")
    client = await people.open()
    await client.register(name, "Bob", f"secret-{name}", "Indonesia")
    return name
