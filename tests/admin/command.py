"""`python -m ws_server admin ...` as an operator runs it: a process with an exit code."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tests.forked import Forked


def admin(
    *words: str | Path, data: Path, input: str = "", limit: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run an admin command to its end, `input` on its standard input."""
    line = ["admin", *map(str, words), "--data", str(data)]
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("CHAT_")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input").write_text(input)
        process = Forked(
            line,
            environment,
            input=folder / "input",
            output=folder / "output",
            errors=folder / "errors",
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        output, errors = ((folder / name).read_text() for name in ("output", "errors"))
        return subprocess.CompletedProcess(line, code, output, errors)


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
