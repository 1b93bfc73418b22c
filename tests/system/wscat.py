"""A person at a terminal: the real wscat, driven through a pseudo-terminal."""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pexpect  # type: ignore[import-untyped]
import pytest

PROGRAM = Path(sys.prefix) / "wscat" / "node_modules" / ".bin" / "wscat"
LIMIT = 20.0
"""Seconds to wait for anything to appear; generous, as test machines are busy."""
# wscat wipes its prompt, prints "< " and the frame, and resets the colour behind it.
FRAME = re.compile(r"\x1b\[2K\x1b\[3D< (.*?)\x1b\[39m\r\n", re.DOTALL)
CLOSED = re.compile(r"Disconnected \(code: (\d+)")
REPLY = re.compile(r'(OK|ERROR) |\{"status"')

needs_wscat = pytest.mark.skipif(
    not PROGRAM.exists(), reason="wscat is missing; ./chat test installs it with npm"
)


class Wscat:
    """One terminal, connected; what others cause to appear is kept until asked for."""

    def __init__(self, url: str) -> None:
        self._events: deque[str] = deque()
        self._terminal = pexpect.spawn(
            str(PROGRAM),
            ["--no-color", "--connect", url],
            encoding="utf-8",
            timeout=LIMIT,
            dimensions=(50, 1000),
        )
        self._terminal.delaybeforesend = None
        self._terminal.expect_exact("Connected")

    def say(self, line: str) -> str:
        """Type a line, press Enter and return the reply as it is shown."""
        self._terminal.send(line + "\r")
        while not REPLY.match(frame := self._frame()):
            self._events.append(frame)
        return frame

    def hear(self) -> str:
        """Return the next event as it is shown."""
        event = self._events.popleft() if self._events else self._frame()
        assert not REPLY.match(event), event
        return event

    def ended(self) -> int:
        """Wait until the server closes the connection, and return the code it gave."""
        self._terminal.expect(CLOSED)
        return int(self._terminal.match[1])

    def close(self) -> None:
        self._terminal.close(force=True)

    def _frame(self) -> str:
        self._terminal.expect(FRAME)
        return str(self._terminal.match[1]).replace("\r\n", "\n")


Terminals = Callable[..., Wscat]
"""Open a terminal; with a name, that person registers (once) and signs in."""
