"""Turns the terminal's echo off: only the prompt shows input, because it masks secrets."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_echo() -> Iterator[None]:
    """Keep the terminal from showing what is typed.

    The prompt does so while it is shown. But text typed ahead, before the first prompt or between
    two prompts, may be a password.
    """
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, silent)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
