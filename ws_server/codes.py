"""Codes that people read, pass on and type: who has one may do something once, or a few times."""

from __future__ import annotations

import hashlib
import secrets

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Those that are not read as others."""
GROUPS = 4
GROUP = 4
"""80 bits in all."""


def letters(count: int) -> str:
    """Return so many random letters, 5 bits each."""
    return "".join(secrets.choice(LETTERS) for _ in range(count))


def new_code() -> str:
    """Return a code such as K3F9-7QWX-MB2C-HT4N, which nobody guesses at the pace allowed."""
    return "-".join(letters(GROUP) for _ in range(GROUPS))


def plain(code: str) -> bytes:
    """Return what is compared of a code: case, dashes and blanks do not matter."""
    return code.upper().replace("-", "").replace(" ", "").encode()


def hash_code(code: str) -> bytes:
    """Return what is stored of a code: 80 random bits need no slow hash."""
    return hashlib.sha256(plain(code)).digest()
