"""Ids that are made without asking the database."""

from __future__ import annotations

import secrets
from functools import cache
from itertools import count

_COUNTER = count(1)


@cache
def this_start() -> str:
    """Return 64 random bits of this process, which no other one has, be it forked from the same."""
    return secrets.token_hex(8)


def new_id(kind: str) -> str:
    """Return an id that no other realm, process or restored backup uses."""
    return f"{kind}_{this_start()}{next(_COUNTER):x}"
