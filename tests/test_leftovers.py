"""A test that fails does not make the next one fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.realserver import ROOT

pytestmark = pytest.mark.system

TESTS = """
import asyncio, gc, socket

async def test_half_way():
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    plain = socket.socket()
    assert reader is writer

def test_next():
    gc.collect()
"""


def test_a_test_that_failed_half_way_left_its_sockets_to_the_next(tmp_path: Path) -> None:
    """tests/handlers/test_crowds.py opens none, and once failed for one."""
    (tmp_path / "test_it.py").write_text(TESTS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.leftovers", "-q"]
        + ["-p", "no:cacheprovider", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout
