"""Ids generated without a query."""

from __future__ import annotations

import secrets
from functools import cache
from itertools import count

_COUNTER = count(1)


@cache
def this_start() -> str:
    """Return 64 random bits, generated once by each process."""
    return secrets.token_hex(8)


def new_id(kind: str) -> str:
    """Return an id that is unique across realms, processes and restored backups."""
    return f"{kind}_{this_start()}{next(_COUNTER):x}"
