"""Admin commands in processes that are forked from one that has imported everything.

For tests with many of them: each has an exit code, but not the second that a start takes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["ws_server.__main__"])


def _run(words: list[str], errors: Path) -> None:
    from ws_server.__main__ import main

    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    sys.argv = ["ws_server", "admin", *words]
    sys.exit(main())


def refusal(*words: str | Path, data: Path, errors: Path) -> str:
    """Run an admin command that has to be refused, and return why; `errors` is where it says so."""
    process = _PROCESSES.Process(
        target=_run, args=([*map(str, words), "--data", str(data)], errors)
    )
    process.start()
    process.join(60)
    said = errors.read_text()
    assert process.exitcode == 1, (process.exitcode, said)
    process.close()
    assert "Traceback" not in said
    return said
