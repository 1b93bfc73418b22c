"""Detection of cloned realms: a data folder was copied, and two servers run with its key.

Each start of a server has a random name, its instance. A realm closes its old connection before it
dials a new one. If a new link has another instance and the replaced link still answers, two servers
run with the same key. This realm notifies both, because neither can detect the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from ws_server.net.session import Outlet

GRACE = 1.0
"""Seconds before the connection of a replaced link is closed."""
DOUBLE = 4401
"""Close code for the surplus one of two links between the same realms."""
LATELY = 3600.0
"""Seconds for which a realm is reported as cloned after the last detection."""


class Seen:
    """Whether clones of a realm were detected recently; true for LATELY seconds."""

    def __init__(self) -> None:
        self._at: float | None = None

    def note(self) -> bool:
        """Record a detection; return False if the last one is still recent."""
        is_new = not self
        self._at = asyncio.get_running_loop().time()
        return is_new

    def __bool__(self) -> bool:
        return self._at is not None and asyncio.get_running_loop().time() - self._at < LATELY


class Replaceable(Protocol):
    """Either link of a replacement, the old or the new one: `link.Link`."""

    their_instance: str
    """The name of the peer's server start; empty if the peer sends none."""

    def retire(self) -> Outlet:
        """Stop receiving and sending, and return the connection, which the caller closes."""

    def ask_if_still_there(self) -> asyncio.Future[None]:
        """Probe the peer over a retired link; the future is done when the peer answers."""

    def tell_of_copies(self) -> None:
        """Notify the peer that two servers use its key; works over a retired link, too."""


def part(old: Replaceable, new: Replaceable) -> Coroutine[Any, Any, bool]:
    """Retire a link that was replaced.

    Returns:
        A coroutine that closes the old connection after GRACE seconds, and returns whether its
        server is a clone.
    """
    return _parted(old, old.retire(), old.ask_if_still_there(), new)


async def _parted(
    old: Replaceable, outlet: Outlet, still: asyncio.Future[None], new: Replaceable
) -> bool:
    try:
        # Without the delay, the peer would see the old link end before it has the new one, and
        # would announce to its users that the link is down.
        await asyncio.sleep(GRACE)
        instances = {old.their_instance, new.their_instance}
        are_copies = still.done() and len(instances) == 2 and "" not in instances
        if are_copies:
            for link in (old, new):
                link.tell_of_copies()
        return are_copies
    finally:
        outlet.close_with(DOUBLE, "duplicate link to this realm")
