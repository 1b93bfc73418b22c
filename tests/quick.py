"""`--quick`: only tests that start no process and take little time.

A test that starts one nevertheless fails, so that the marks stay right.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

OPTION = "--quick"
LEFT_OUT = ("system", "slow", "hypothesis")
"""Marks; that of Hypothesis marks itself."""
STARTING = {"real_server", "server"}
"""Fixtures of all tests, which start a process."""
FOLDERS = set("admin benchmarks client conversations federation fuzz system terminal_app".split())
"""Their tests all talk to processes, or take long."""
STARTS = {
    *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"),
    *("pty.spawn", "subprocess.Popen"),
}
"""Audit events."""
_watching = False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, action="store_true", help="only tests that start no process")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watch from the first fixture to the last; what pytest itself does is its own affair."""
    global _watching
    _watching = item.config.getoption(OPTION)
    try:
        return (yield)
    finally:
        _watching = False


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(OPTION):
        sys.addaudithook(lambda event, _: _refuse(event) if event in STARTS else None)
        start = BaseProcess.start
        # It tells no auditor.
        BaseProcess.start = lambda self: _refuse("fork") or start(self)  # type: ignore


def _refuse(event: str) -> None:
    if _watching:
        pytest.fail(f"{event} in a quick test: mark it with pytest.mark.system")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = collection_path.is_dir() and collection_path.name in FOLDERS
    return True if config.getoption(OPTION) and left_out else None


@pytest.hookimpl(trylast=True)  # after Hypothesis has marked its own
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption(OPTION):
        left_out = [item for item in items if _is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    fixtures = STARTING.intersection(getattr(item, "fixturenames", ()))
    return bool(fixtures) or any(map(item.get_closest_marker, LEFT_OUT))
