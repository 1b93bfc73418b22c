"""A person at a terminal: the real client, driven through a pseudo-terminal."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
import termios
from pathlib import Path

import pexpect  # type: ignore[import-untyped]

from tests.realserver import ROOT
from tests.terminal_app.page import Page

LIMIT = 20.0
"""Seconds to wait for anything to appear; generous, as test machines are busy."""


def environment(home: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a person with this home, who has set nothing but `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        **changes,
    }


class Terminal:
    """The client in a terminal; use it as `async with Terminal(home, url) as terminal`."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        rows: int = 24,
        columns: int = 100,
        lag: float = 0.0,
        **changes: str,
    ) -> None:
        self._lag = lag
        """Seconds until the terminal answers what the client asks it, as over a slow line."""
        self.page = Page(rows, columns)
        self.written = ""
        """Everything the client wrote, escape sequences included."""
        self._home = home
        self._arguments = arguments
        self._changes = changes
        self._news = asyncio.Event()
        self._ended = False
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    async def __aenter__(self) -> Terminal:
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "terminal_app", *self._arguments],
            cwd=str(self._home),
            env=environment(self._home, **self._changes),
            dimensions=(self.page.rows, self.page.columns),
        )
        self._child.delaybeforesend = None
        asyncio.get_running_loop().add_reader(self._child.child_fd, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_reading()
        await asyncio.to_thread(self._child.close, True)

    def _stop_reading(self) -> None:
        if not self._ended:
            self._ended = True
            asyncio.get_running_loop().remove_reader(self._child.child_fd)
        self._news.set()

    def _read(self) -> None:
        try:
            piece = os.read(self._child.child_fd, 65536)
        except OSError:  # Linux says so when the other side has closed
            piece = b""
        if not piece:
            self._stop_reading()
            return
        text = self._decoder.decode(piece)
        self.written += text
        self.page.feed(text)
        for answer in self.page.answers:
            asyncio.get_running_loop().call_later(self._lag, self._answer, answer)
        self.page.answers.clear()
        self._news.set()

    def _answer(self, answer: str) -> None:
        if not self._ended:
            self._child.send(answer)

    def press(self, keys: str) -> None:
        """Press keys; `\\r` is Enter, `\\x03` Ctrl+C."""
        self._child.send(keys)

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self.press(line + "\r")

    async def shows(self, text: str, times: int = 1) -> None:
        """Wait until a text is on the page, in one line, so many times."""
        async with asyncio.timeout(LIMIT):
            while sum(text in line for line in self.page.lines) < times:
                await self._change(f"{text!r} is not shown")

    async def types(self, line: str) -> None:
        """Type without Enter, and wait until the line is seen behind the prompt."""
        self.press(line)
        await self.shows_at_cursor(f"> {line}")

    async def shows_at_cursor(self, line: str) -> None:
        """Wait until the cursor is in a line that reads so."""
        async with asyncio.timeout(LIMIT):
            while self.page.cursor_line != line.rstrip():
                await self._change(f"{line!r} is not at the cursor")

    async def _change(self, missing: str) -> None:
        self._news.clear()
        if self._ended:
            raise AssertionError(f"{missing}, and the client has ended: {self.page.lines}")
        try:
            await self._news.wait()
        except asyncio.CancelledError:
            print(f"{missing}:", *self.page.lines, sep="\n")
            raise

    async def ended(self) -> int:
        """Wait for its end and return the exit code; minus the signal, if one ended it."""
        async with asyncio.timeout(LIMIT):
            while not self._ended:
                self._news.clear()
                await self._news.wait()
            await asyncio.to_thread(self._child.wait)
        if self._child.signalstatus is not None:
            return -int(self._child.signalstatus)
        return int(self._child.exitstatus)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._child.kill(signal.SIGTERM)

    async def begins(self) -> None:
        """Wait until the client has begun: before, the terminal would show what is typed."""
        await self.shows("Simple Chatting, ")

    @property
    def echoes(self) -> bool:
        """Whether the terminal itself shows what is typed."""
        return bool(termios.tcgetattr(self._child.child_fd)[3] & termios.ECHO)

    async def signs_in(self, name: str) -> None:
        """Sign in as an account whose password is `secret-NAME`, as people made by tests have."""
        await self.begins()
        self.enter(f"auth {name} secret-{name}")
        await self.shows(f"OK Signed in as {name} on alpha")
