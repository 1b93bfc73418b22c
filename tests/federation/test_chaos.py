"""A short chaos test with three realms; `./chat test --chaos` runs it for longer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.federation import chaos

SEED = int(os.environ.get("CHAT_KILL_SEED", "0")) or time.time_ns() % 1_000_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_three_realms_agree_whatever_goes_wrong(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    print(f"CHAT_KILL_SEED={SEED}")
    databases = {}
    if kind == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        # Two realms with one kind of database, one with the other.
        databases = {name: cluster.new_database() for name in ("alpha", "beta")}
    async with chaos.opened(tmp_path, SEED, databases) as world:
        await world.round(8)
        print(world.summary())
