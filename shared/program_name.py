"""The name of a program in its usage text."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "SIMPLE_CHATTING_PROGRAM"
"""Set by `./chat` to the words that the user typed, such as `./chat admin`."""


def program_name(module: str, *words: str) -> str:
    """Return the command that starts this program, as the user started it.

    Args:
        module: The module that runs it.
        words: The first arguments, if they are part of the name, such as `admin`.
    """
    if typed := os.environ.get(VARIABLE):
        return typed
    name = Path(sys.argv[0]).name
    return " ".join([f"python -m {module}" if name == "__main__.py" else name, *words])
