"""What `--no-skips` does to tests that are left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.realserver import ROOT

pytestmark = pytest.mark.system

MARKED = 'import pytest\n\n@pytest.mark.skip(reason="no cat")\ndef test_it(): ...\n'
CALLED = 'import pytest\n\ndef test_it(): pytest.skip("no cat")\n'
COLLECTED = 'import pytest\n\npytest.skip("no cat", allow_module_level=True)\n'
EXPECTED = "import pytest\n\n@pytest.mark.xfail\ndef test_it(): assert False\n"


def run(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.skips"),
            *options,
            str(folder),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("test", [MARKED, CALLED, COLLECTED])
def test_a_skip_is_a_failure_if_none_is_allowed(tmp_path: Path, test: str) -> None:
    refused = run(tmp_path, test, "--no-skips")
    assert refused.returncode in (1, 2), refused.stdout
    assert "no cat. With --no-skips this is a failure" in refused.stdout


def test_a_skip_says_what_is_missing_otherwise(tmp_path: Path) -> None:
    passed = run(tmp_path, MARKED)
    assert passed.returncode == 0
    assert "no cat" in passed.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run(tmp_path, EXPECTED, "--no-skips").returncode == 0
