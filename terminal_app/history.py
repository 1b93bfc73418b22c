"""The history of typed lines: bounded, without secrets, readable only by its owner."""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

from shared.protocol.masking import NAMES, takes_secrets
from shared.protocol.spec import TABLE
from shared.protocol.words import BLANK, first_word
from terminal_app.commands import OWN

MAX_LINES = 1_000
"""Lines stored between runs."""


def may_be_kept(line: str) -> bool:
    """Whether a line may be stored in the history.

    A command that takes a secret is never stored, even without a visible one: words may be
    misplaced. An unknown command is not stored either: it may be a misspelt one.
    """
    if line.lstrip(BLANK).startswith("{"):
        return NAMES.search(line) is None
    name = first_word(line)[0].lower()
    return name in OWN or (name in TABLE and not takes_secrets(TABLE[name]))


class LineHistory(History):
    """Each line of the file is one typed line, the latest at the end.

    Lines that may hold a secret are not kept in memory either. Without a readable or writable file,
    the history is kept in memory only.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def append_string(self, string: str) -> None:
        if string.strip() and may_be_kept(string) and string not in self.get_strings()[-1:]:
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        """Return the latest lines, newest first; remove older ones from the file."""
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                kept = deque((line.rstrip("\n") for line in file), maxlen=2 * MAX_LINES)
            if len(kept) > MAX_LINES:
                kept = deque(kept, maxlen=MAX_LINES)
                self._replace(kept)
        except OSError:
            return []
        return list(reversed(kept))

    def store_string(self, string: str) -> None:
        if "\n" in string:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(f"{string}\n")
        except OSError:
            return

    def _replace(self, lines: Iterable[str]) -> None:
        aside = self._path.with_name(f".{secrets.token_hex(8)}.new")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        os.replace(aside, self._path)
