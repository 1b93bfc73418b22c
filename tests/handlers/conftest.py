"""One realm for each test of the handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A realm in this process, without anybody."""
    async with World(tmp_path) as world:
        yield world
