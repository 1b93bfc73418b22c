"""A real server process, for tests of what only a process can show."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.forked import ROOT as ROOT
from tests.forked import Forked

EXECUTED = (sys.executable, "-m", "ws_server")
START_LIMIT = 30.0
"""Seconds a server may take to listen; generous, as test machines are busy."""


class RealServer:
    """`python -m ws_server` on a free port, its data and log below `folder`."""

    program: Sequence[str] = ()
    """What to execute, such as EXECUTED; without it a process is forked, which is quicker."""
    cwd = ROOT

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.data = folder / "data"
        self.log_path = folder / "server.log"
        self.options = options
        self.environment = dict(environment or {})
        self.port = 0
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def web_port(self) -> int:
        """Where it serves the web app, if it does."""
        return int(re.findall(r"event=serving .*?web_port=(\d+)", self.log)[-1])

    @property
    def web_url(self) -> str:
        """The same as a browser has it."""
        return f"http://localhost:{self.web_port}/"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything it printed, over all its starts."""
        return self.log_path.read_text(errors="replace")

    def start(self) -> None:
        """Start and return once it listens; a restart keeps data and port."""
        self.log_path.touch()
        seen = self.log_path.stat().st_size
        words = [
            *("--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.data)),
            *("--realm", "alpha", "--rate-limits", "off", "--web-port", "off", *self.options),
        ]
        environment = {**os.environ, **self.environment}
        if self.program:
            with open(self.log_path, "ab") as log:
                self._process = subprocess.Popen(
                    [*self.program, *words],
                    cwd=self.cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        else:
            self._process = Forked(words, environment, output=self.log_path, errors=self.log_path)
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self._process.poll() is None:
            found = re.search(r"event=serving .*?port=(\d+)", self.log[seen:])
            if found:
                self.port = int(found.group(1))
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server did not start:\n{self.log[seen:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, limit: float = 10) -> int:
        """Ask it to end and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(limit)
        self._process = None
        return code
