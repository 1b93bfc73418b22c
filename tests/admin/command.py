"""`python -m ws_server admin ...` as an operator runs it: a process with an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.realserver import ROOT


def admin(
    *words: str | Path, data: Path, input: str = "", limit: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run an admin command to its end, `input` on its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "ws_server", "admin", *map(str, words), "--data", str(data)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("CHAT_")},
        input=input,
        capture_output=True,
        text=True,
        timeout=limit,
    )


def done(*words: str | Path, data: Path, input: str = "") -> str:
    """Run an admin command that has to succeed, and return what it printed."""
    ended = admin(*words, data=data, input=input)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def refusal(*words: str | Path, data: Path, input: str = "") -> str:
    """Run an admin command that has to be refused, and return why."""
    ended = admin(*words, data=data, input=input)
    assert ended.returncode == 1, (ended.returncode, ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stderr
    return ended.stderr
