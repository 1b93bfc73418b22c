"""What another realm has confirmed: its rows leave the outbox, and their senders are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection

from shared.background_tasks import BackgroundTasks
from shared.protocol.errors import ChatError
from ws_server.federation.peer_news import PeerNews
from ws_server.net.session import BROKEN
from ws_server.store.federation import outbox, outbox_queries
from ws_server.store.federation.outbox import Cleared
from ws_server.store.federation.outbox_rows import Item
from ws_server.store.federation.outbox_rows import read as read_items
from ws_server.store.federation.realms import MAX_ROWS
from ws_server.store.journal import Journal

PAUSE = 0.01
"""Seconds between two times that the outbox forgets what was confirmed: a write for each of many
small confirmations would keep messages waiting."""
STORE_FAILED = 4402
"""Closes a link of which something cannot be, or was not noted; it is dialled anew."""


class Breakable(Protocol):
    """A link, which ends if what it has confirmed cannot be noted."""

    def end(self, code: int, reason: str) -> None:
        """Close the connection."""


class Confirmations:
    """Those of one realm, over all its links."""

    def __init__(
        self,
        realm_id: int,
        journal: Journal,
        news: PeerNews,
        tasks: BackgroundTasks,
        *,
        link: Callable[[], Breakable | None],
        tell: Callable[[str, str, str | None], bool],
        noted: Callable[[int], None],
    ) -> None:
        """Begin with nothing confirmed.

        Args:
            link: Returns the present link.
            tell: Tells whoever waits for a message's fate its state and why it was refused; False
                if nobody waits.
            noted: Told how many rows still wait.
        """
        self._realm_id = realm_id
        self._journal = journal
        self._news = news
        self._tasks = tasks
        self._link = link
        self._tell = tell
        self._noted = noted
        self._unkept: list[Item] = []
        """What was confirmed, and is not noted yet."""
        self._refused: dict[int, str] = {}
        """What of that was refused."""
        self._keeping: asyncio.TimerHandle | None = None
        self._kept_at: float | None = None
        self._acked = 0
        """The number up to which a link has confirmed."""
        self._told = 0
        """The number up to which that is noted, and people were told."""
        self._overfull = False
        """Something for it was not even noted; the next link finds it by comparing groups."""

    def opened(self, up_to: int, refused: dict[int, str]) -> None:
        """A link begins: the other side has everything up to a number, or refused it."""
        self._tasks.start(self._confirm(up_to, refused))

    def add(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        """The other side has these for good, or refused them; that is noted soon."""
        self._acked = up_to
        self._unkept += items
        self._refused |= refused
        if self._keeping is None:
            loop = asyncio.get_running_loop()
            wait = 0.0
            if self._kept_at is not None:
                wait = max(wait, self._kept_at + PAUSE - loop.time())
            self._keeping = loop.call_later(wait, self.keep)

    def keep(self) -> None:
        """Let the outbox forget what was confirmed since it last did."""
        if self._keeping is None:
            return
        self._keeping.cancel()
        self._keeping = None
        self._kept_at = asyncio.get_running_loop().time()
        refused, self._refused = self._refused, {}
        unkept, self._unkept = self._unkept, []
        self._tasks.start(self._confirm(self._acked, refused, unkept))

    async def _confirm(
        self, up_to: int, refused: dict[int, str], acked: list[Item] | None = None
    ) -> None:
        """Forget what the other side has, and tell people what they were not told yet.

        Args:
            acked: What the link has just confirmed; None when one begins, and what the last one
                did not hear any more has to be looked up.
        """
        realm_id, link = self._realm_id, self._link()

        def forget(tx: Connection, now: int) -> tuple[Cleared, list[Item], int]:
            items = acked
            if items is None:
                found = read_items(tx, realm_id, self._told, MAX_ROWS)
                items = [item for item in found if item.number <= up_to]
            cleared = outbox.confirm(tx, realm_id, up_to, refused)
            return cleared, items, outbox_queries.count(tx, realm_id)

        try:
            cleared, items, waiting = await self._journal.write(forget)
        except ChatError:
            # The next link confirms it again.
            if link is not None:
                link.end(STORE_FAILED, "what was confirmed cannot be noted now")
            return
        self._noted(waiting)
        self._overfull = self._overfull or cleared.overfull
        link = self._link()
        if cleared.moved:
            if waiting and link is not None:
                link.end(BROKEN, "what waits has new numbers")
            return
        if self._overfull and not waiting and link is not None:
            self._overfull = False
            link.end(STORE_FAILED, "groups have to be compared anew")
        self._told = up_to
        # Told once it is noted, so that who then looks finds what he was told.
        for item in items:
            code = refused.get(item.number)
            # A post is delivered when its echo brings its place.
            if item.own is not None and (code is not None or item.kind != outbox.POST):
                state = outbox.DELIVERED if code is None else outbox.REFUSED
                told = self._tell(item.own.id, state, code)
                self._news.announce_delivery(item.own, code, told)
