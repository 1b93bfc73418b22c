"""Real processes of the app: the chat itself, or the probe in its place."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.realserver import ROOT, START_LIMIT

PROBE = "tests.flet_app.probe"


class App:
    """`python -m flet_app --web` on a free port, its log and its files below `folder`."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        program: str = "flet_app",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log_path = folder / "app.log"
        self.files = folder / "files"
        self.files.mkdir()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, "--web", "--port", "0", *options],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(self.files), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.port = self._started()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _started(self) -> int:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r"Open https?://\S+:(\d+) in a browser", self.log):
                return int(found[1])
            time.sleep(0.02)
        raise RuntimeError(f"the app did not start:\n{self.log}")

    def stop(self, limit: float = 10) -> tuple[int, float]:
        """Ask it to end; returns its exit code and how many seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit), time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
