"""Confirmations from another realm: delete its rows from the outbox and notify their senders."""

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
"""Least seconds between two deletions from the outbox. One write for each of many small
confirmations would delay messages."""
STORE_FAILED = 4402
"""Close code for a link whose state could not be stored; it is dialled again."""


class Breakable(Protocol):
    """A link, which is closed if its confirmations cannot be stored."""

    def end(self, code: int, reason: str) -> None:
        """Close the connection."""


class Confirmations:
    """The confirmations from one realm, over all its links."""

    def __init__(
        self,
        realm_id: int,
        journal: Journal,
        news: PeerNews,
        tasks: BackgroundTasks,
        *,
        link: Callable[[], Breakable | None],
        report: Callable[[str, str, str | None], bool],
        noted: Callable[[int], None],
    ) -> None:
        """Start with no confirmation.

        Args:
            link: Returns the present link.
            report: Reports a message's state and its refusal code to the session that waits for
                them; returns False if none waits.
            noted: Called with the number of rows that are still in the outbox.
        """
        self._realm_id = realm_id
        self._journal = journal
        self._news = news
        self._tasks = tasks
        self._link = link
        self._report = report
        self._noted = noted
        self._unflushed: list[Item] = []
        """Confirmed rows that are still in the outbox."""
        self._refused: dict[int, str] = {}
        """The codes of the refused ones among them, by row number."""
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flushed_at: float | None = None
        self._acked = 0
        """The last confirmed number."""
        self._announced = 0
        """The last number whose confirmation is stored and announced to its sender."""
        self._overfull = False
        """The outbox rejected a row for this realm; the next link repairs that by `catch_up`."""

    def opened(self, up_to: int, refused: dict[int, str]) -> None:
        """Store the confirmation that opens a link: rows up to a number are stored or refused."""
        self._tasks.start(self._confirm(up_to, refused))

    def add(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        """Queue the confirmation of rows that the peer has stored or refused."""
        self._acked = up_to
        self._unflushed += items
        self._refused |= refused
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            wait = 0.0
            if self._flushed_at is not None:
                wait = max(wait, self._flushed_at + PAUSE - loop.time())
            self._flush_timer = loop.call_later(wait, self.flush)

    def flush(self) -> None:
        """Delete the rows confirmed since the last call from the outbox."""
        if self._flush_timer is None:
            return
        self._flush_timer.cancel()
        self._flush_timer = None
        self._flushed_at = asyncio.get_running_loop().time()
        refused, self._refused = self._refused, {}
        unflushed, self._unflushed = self._unflushed, []
        self._tasks.start(self._confirm(self._acked, refused, unflushed))

    async def _confirm(
        self, up_to: int, refused: dict[int, str], acked: list[Item] | None = None
    ) -> None:
        """Delete confirmed rows, then notify the senders who have not been notified yet.

        Args:
            acked: The rows confirmed by the link. None when a link opens: rows that the peer
                stored after the last link ended are read from the outbox.
        """
        realm_id, link = self._realm_id, self._link()

        def delete(tx: Connection, now: int) -> tuple[Cleared, list[Item], int]:
            items = acked
            if items is None:
                found = read_items(tx, realm_id, self._announced, MAX_ROWS)
                items = [item for item in found if item.number <= up_to]
            cleared = outbox.confirm(tx, realm_id, up_to, refused)
            return cleared, items, outbox_queries.count(tx, realm_id)

        try:
            cleared, items, waiting = await self._journal.write(delete)
        except ChatError:
            # The peer confirms these rows again on the next link.
            if link is not None:
                link.end(STORE_FAILED, "the confirmation cannot be stored now")
            return
        self._noted(waiting)
        self._overfull = self._overfull or cleared.overfull
        link = self._link()
        if cleared.moved:
            if waiting and link is not None:
                link.end(BROKEN, "the outbox was renumbered")
            return
        if self._overfull and not waiting and link is not None:
            self._overfull = False
            link.end(STORE_FAILED, "groups must be compared again")
        self._announced = up_to
        # Notify after the commit, so that a query by the sender returns the same state.
        for item in items:
            code = refused.get(item.number)
            # A post counts as delivered when the host relays it back with its seq.
            if item.own is not None and (code is not None or item.kind != outbox.POST):
                state = outbox.DELIVERED if code is None else outbox.REFUSED
                reported = self._report(item.own.id, state, code)
                self._news.announce_delivery(item.own, code, reported)
