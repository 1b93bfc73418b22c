"""What a failed test leaves open is closed before the next test, which else would fail for it.

Its frames, with all sockets in them, live until the next test begins; the warnings of unclosed ones
then count as errors of that one.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Generator

import pytest

HAS_FAILED = pytest.StashKey[bool]()
LAST = ("last_type", "last_value", "last_traceback", "last_exc")
"""Where Python, and so pytest, keeps an exception for debuggers."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[HAS_FAILED] = True
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    done = yield
    if item.stash.get(HAS_FAILED, False):
        for name in LAST:
            if hasattr(sys, name):
                delattr(sys, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return done
