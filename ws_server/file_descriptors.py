"""How many files and connections the process may have open, and how many of them are spared."""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVED = 96
"""At least, for whatever is no connection; a tenth of many, but no more than ten times as much."""
MAX_DESCRIPTORS = 1_000_000
"""Where the system sets no limit."""


def raise_limit() -> None:
    """Allow as many as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for_connections() -> int:
    """Return how many connections there may be.

    The rest is for the database, files and links to other realms, so that they and `/healthz` go on
    working when all of these are taken.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = MAX_DESCRIPTORS
    return soft - min(max(RESERVED, soft // 10), 10 * RESERVED, soft // 2)
