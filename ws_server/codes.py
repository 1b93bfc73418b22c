"""Random codes that people read, pass on and type; each permits one or a few uses."""

from __future__ import annotations

import hashlib
import secrets

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Letters and digits that are not mistaken for others."""
GROUPS = 4
GROUP = 4
"""Letters in a group; four groups are 80 bits."""


def letters(count: int) -> str:
    """Return `count` random letters of 5 bits each."""
    return "".join(secrets.choice(LETTERS) for _ in range(count))


def new_code() -> str:
    """Return a code such as K3F9-7QWX-MB2C-HT4N: 80 random bits."""
    return "-".join(letters(GROUP) for _ in range(GROUPS))


def plain(code: str) -> bytes:
    """Return the form in which codes are compared: without case, dashes and blanks."""
    return code.upper().replace("-", "").replace(" ", "").encode()


def hash_code(code: str) -> bytes:
    """Return the stored form of a code: 80 random bits need no slow hash."""
    return hashlib.sha256(plain(code)).digest()
