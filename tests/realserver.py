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

ROOT = Path(__file__).parent.parent
START_LIMIT = 30.0
"""Seconds a server may take to listen; generous, as test machines are busy."""


class RealServer:
    """`python -m ws_server` on a free port, its data and log below `folder`."""

    program: Sequence[str] = (sys.executable, "-m", "ws_server")
    cwd = ROOT

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.data = folder / "data"
        self.log_path = folder / "server.log"
        self.options = options
        self.environment = dict(environment or {})
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

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
        seen = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*self.program, "--host", "127.0.0.1"),
                    *("--port", str(self.port), "--data", str(self.data)),
                    *(
                        "--realm",
                        "alpha",
                        "--rate-limits",
                        "off",
                        "--web-port",
                        "off",
                        *self.options,
                    ),
                ],
                cwd=self.cwd,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
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
