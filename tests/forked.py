"""The server and its admin commands as processes that need not load first.

Most of a start is loading modules, and the tests start hundreds: each is forked from one process
that has loaded them. tests/system/test_serve.py and test_install.py start the program itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["ws_server.app", "ws_server.admin.cli"])


class Forked:
    """`python -m ws_server ...` in the project's folder, with the methods of `subprocess.Popen`."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        input: Path | None = None,
        output: Path,
        errors: Path,
    ) -> None:
        self._words = list(words)
        streams = (input or Path(os.devnull), output, errors)
        self._process = _CONTEXT.Process(
            target=_main, args=(self._words, dict(environment), streams), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self._words, timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _main(words: list[str], environment: dict[str, str], streams: tuple[Path, ...]) -> None:
    from ws_server import __main__ as program

    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(streams):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.argv = [program.__file__, *words]
    sys.exit(program.main())
