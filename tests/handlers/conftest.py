"""One realm for each test of the handlers."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World
from ws_server.store.database import Database


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the newest schema: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "chat.db"
    Database.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
async def world(tmp_path: Path, empty_database: Path) -> AsyncIterator[World]:
    """A realm in this process, without anybody."""
    shutil.copy(empty_database, tmp_path)
    async with World(tmp_path) as world:
        yield world
