"""`python -m ws_server` whose wall clock a test moves, as a wrong time server would.

Run as `python -m tests.shifted ...` with CLOCK_SHIFT naming a file that holds the seconds by which
the clock is off. Monotonic clocks stay as they are.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.realserver import RealServer

SHIFT = "CLOCK_SHIFT"


def install(path: Path) -> None:
    """Let the wall clock of this process be off by what a file says."""
    right = time.time_ns

    def time_ns() -> int:
        return right() + int(path.read_text()) * 10**9

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 10**9


class ShiftedServer(RealServer):
    """A real server whose clock can be set."""

    program = (sys.executable, "-m", "tests.shifted")

    def __init__(self, folder: Path, *options: str) -> None:
        self._shift = folder / "shift"
        self.off_by(0)
        super().__init__(folder, *options, environment={SHIFT: str(self._shift)})

    def off_by(self, seconds: int) -> None:
        """Set the wall clock."""
        new = self._shift.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._shift)


if __name__ == "__main__":
    install(Path(os.environ[SHIFT]))
    from ws_server.__main__ import main

    sys.exit(main())
