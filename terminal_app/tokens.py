"""Stored session tokens, which keep people signed in: one file for each server and user.

Only their owner can read the files. Passwords are never stored.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from urllib.parse import quote

from shared.protocol.values import fold

ENDING = ".token"


def state_folder() -> Path:
    """Return the folder of this client's state, by the XDG Base Directory Specification."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # "All paths must be absolute. If [one is] relative [...] ignore it."
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return root / "simple-chatting"


class Tokens:
    """The tokens for one server.

    Args:
        state: The folder of this client's state; created when something is stored.
        server: The server's address.
    """

    def __init__(self, state: Path, server: str) -> None:
        self._folder = state / "tokens" / quote(server.rstrip("/").lower(), safe="")

    def latest(self) -> str | None:
        """Return the user who signed in last, in lower case; None without a stored token."""
        found: list[tuple[float, str]] = []
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"*{ENDING}"):
                found.append((path.stat().st_mtime, path.name.removesuffix(ENDING)))
        return max(found)[1] if found else None

    def of(self, user: str) -> str:
        """Return the token of a user; empty if there is none."""
        try:
            return self._path(user).read_bytes().decode().removesuffix("\n")
        except (OSError, ValueError):
            return ""

    def keep(self, user: str, token: str) -> None:
        """Store the token of a user, who becomes the latest.

        Raises:
            OSError: the token cannot be written.
        """
        for folder in (self._folder.parent.parent, self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = self._folder / f".{secrets.token_hex(8)}.new"
        # 0600 from the start: even a moment would be enough for an attacker.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # The server chooses the text, so it may be anything.
            with open(descriptor, "wb") as file:
                file.write(f"{token}\n".encode())
            os.replace(aside, self._path(user))
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def forget(self, user: str, token: str) -> None:
        """Remove a token that has ended, unless a newer one has replaced it."""
        if self.of(user) == token:
            self._path(user).unlink(missing_ok=True)

    def _path(self, user: str) -> Path:
        return self._folder / f"{quote(fold(user), safe='')}{ENDING}"
