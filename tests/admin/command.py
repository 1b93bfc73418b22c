"""`python -m ws_server admin ...` as an operator runs it: a process with an exit code.

Each is forked from one that has imported everything, so that it takes no second to start.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.realserver import ROOT

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["ws_server.__main__"])


def _run(words: list[str], folder: Path) -> None:
    from ws_server.__main__ import main

    os.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith("CHAT_")]:
        del os.environ[name]
    for number, name in enumerate(("input", "output", "errors")):
        os.dup2(os.open(folder / name, os.O_RDWR | os.O_CREAT), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
    sys.argv = ["ws_server", "admin", *words]
    sys.exit(main())


def admin(
    *words: str | Path, data: Path, input: str = "", limit: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run an admin command to its end, `input` on its standard input."""
    line = [*map(str, words), "--data", str(data)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input").write_text(input)
        process = _PROCESSES.Process(target=_run, args=(line, folder))
        process.start()
        process.join(limit)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(line, limit)
        output, errors = ((folder / name).read_text() for name in ("output", "errors"))
        return subprocess.CompletedProcess(line, process.exitcode, output, errors)


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
