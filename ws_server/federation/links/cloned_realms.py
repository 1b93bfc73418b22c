"""Two servers at once that have one realm's key: a data folder was copied, and both copies run.

Each start of a server has a name of its own, its instance. A realm that restarts, or dials anew
after a break, has left its old connection before it makes the new one. So when a link replaces one
of another instance, and the old one still answers although the new one has proven the same key,
these are two servers. Both are told, because neither can see it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from ws_server.net.session import Outlet

GRACE = 1.0
"""Seconds after which the connection of a link that was replaced is closed."""
DOUBLE = 4401
"""Closes the one of two links between the same realms that is not kept."""
LATELY = 3600.0
"""Seconds for which it is said that a realm was seen twice."""


class Seen:
    """Whether copies of a realm were seen lately; true for LATELY seconds."""

    def __init__(self) -> None:
        self._at: float | None = None

    def note(self) -> bool:
        """Note that they were, and tell whether that is new."""
        is_new = not self
        self._at = asyncio.get_running_loop().time()
        return is_new

    def __bool__(self) -> bool:
        return self._at is not None and asyncio.get_running_loop().time() - self._at < LATELY


class Replaceable(Protocol):
    """A link that another one replaces, or that does: `link.Link`."""

    their_instance: str
    """Which start of the other side's server it is; empty if that does not say."""

    def retire(self) -> Outlet:
        """Take and send no more, and return the connection, which the caller closes."""

    def ask_if_still_there(self) -> asyncio.Future[None]:
        """Return what is done once the other side of a link that is retired answers."""

    def tell_of_copies(self) -> None:
        """Say to the other side that two servers have its key; also over a link that is retired."""


def part(old: Replaceable, new: Replaceable) -> Coroutine[Any, Any, bool]:
    """End a link that is replaced.

    Returns:
        What closes its connection after GRACE seconds, and tells whether it is a copy's.
    """
    return _parted(old, old.retire(), old.ask_if_still_there(), new)


async def _parted(
    old: Replaceable, outlet: Outlet, still: asyncio.Future[None], new: Replaceable
) -> bool:
    try:
        # Not at once: the other side would see the old one end before it has the new one, and
        # tell its people that the link is down.
        await asyncio.sleep(GRACE)
        instances = {old.their_instance, new.their_instance}
        are_copies = still.done() and len(instances) == 2 and "" not in instances
        if are_copies:
            for link in (old, new):
                link.tell_of_copies()
        return are_copies
    finally:
        outlet.close_with(DOUBLE, "another link to this realm is kept")
