"""The limit of open files of the process, and the part left for connections."""

from __future__ import annotations

import resource
from contextlib import suppress

RESERVED = 96
"""Descriptors not for connections: a tenth of all, at least this many, at most ten times it."""
MAX_DESCRIPTORS = 1_000_000
"""The limit to set if the system has none."""


def raise_limit() -> None:
    """Raise the limit to the maximum that the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for_connections() -> int:
    """Return how many connections there may be.

    The rest is reserved for the database, files and links to other realms. They and `/healthz`
    therefore work even when all connections are in use.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = MAX_DESCRIPTORS
    return soft - min(max(RESERVED, soft // 10), 10 * RESERVED, soft // 2)
