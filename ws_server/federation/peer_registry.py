"""The registry of all other realms; it dials them and routes messages to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from shared.background_tasks import BackgroundTasks
from shared.protocol.errors import ChatError
from shared.protocol.values import fold
from ws_server.federation.peer import Peer, PeerServices, StateReport
from ws_server.federation.peer_news import PeerNews
from ws_server.identity import Identity
from ws_server.net.hub import Hub
from ws_server.net.session import Session
from ws_server.store.cache import Cache
from ws_server.store.database import Database
from ws_server.store.drafts import StoredMessage
from ws_server.store.federation import outbox, outbox_queries, outbox_rows, realm_trust, realms
from ws_server.store.federation.outbox_rows import Item
from ws_server.store.federation.realms import ACTIVE, REMOVED, KnownRealm
from ws_server.store.journal import Journal

Dial = Callable[[Peer], Coroutine[Any, Any, None]]
"""Dials a realm whenever its link is down: `dialling.keep`."""


class PeerRegistry:
    """Every other realm by its id; `realm.py`, the publications and the handlers use it."""

    def __init__(
        self,
        identity: Identity,
        database: Database,
        journal: Journal,
        cache: Cache,
        hub: Hub,
        tasks: BackgroundTasks,
        *,
        policy: str | None,
        trial: bool,
        public: bool,
        private: bool,
    ) -> None:
        """Start with no realm; `load` reads them.

        Args:
            tasks: Runs work on behalf of peers; cancelled when this registry is closed.
            policy: Which users may add realms: open, admin or closed; None derives it from `trial`.
            trial: Only this machine reaches the server; see `Settings.trial`.
            public: Private addresses are not dialled.
            private: Users may add realms with private addresses.
        """
        self._local_name = identity.local_name
        self._database = database
        self._journal = journal
        self.news = PeerNews(database, hub, tasks)
        self._services = PeerServices(journal, cache, hub, self.news, tasks)
        self.policy = policy or ("trial" if trial else "admin")
        self.trial = trial
        self.public = public
        self.private = private
        self.public_key = identity.public_key
        self._dial: Dial | None = None
        self._peers: dict[int, Peer] = {}
        self._tasks = tasks

    async def load(self) -> None:
        """Read all realms from the store; none is dialled before `open`."""

        def look(tx: Connection) -> tuple[list[KnownRealm], dict[int, int]]:
            return realms.all_realms(tx), outbox_queries.counts(tx)

        known, counts = await self._database.read(look)
        for one in known:
            self.upsert(one, counts.get(one.id, 0))

    def open(self, dial: Dial) -> None:
        """Start to dial all realms whose address is known."""
        self._dial = dial
        for peer in self._peers.values():
            self._keep(peer)

    async def close(self) -> None:
        """End all links and attempts to dial; waits at most 2 seconds."""
        for peer in self._peers.values():
            if peer.keeping is not None:
                peer.keeping.cancel()
            if peer.link is not None:
                peer.link.end(1001, "the realm is stopping")
        self._tasks.cancel()
        tasks = [*self._tasks, *(p.keeping for p in self._peers.values() if p.keeping)]
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    def upsert(self, known: KnownRealm, queued: int = 0, *, dials: bool = True) -> Peer:
        """Add or update a realm from its record, and act on its state.

        Args:
            queued: Rows in the realm's outbox; used for a new realm only.
            dials: Start to dial the realm, if it is active and has an address.
        """
        peer = self._peers.get(known.id)
        if peer is None:
            peer = self._peers[known.id] = Peer(self._services, known, queued)
        peer.learn(known)
        if dials:
            self._keep(peer)
        return peer

    def idle(self) -> frozenset[int]:
        """Return the ids of the realms without a link."""
        return frozenset(id for id, peer in self._peers.items() if peer.link is None)

    def forget(self, realm_id: int) -> None:
        """Drop a realm that was evicted by another one; it may come again."""
        peer = self._peers.pop(realm_id, None)
        if peer is not None:
            peer.learn(replace(peer.known, state=REMOVED))  # ends attempts to dial it

    def _keep(self, peer: Peer) -> None:
        known = peer.known
        if self._dial is None or peer.keeping is not None:
            return
        if known.state == ACTIVE and known.address:
            # It outlives the command that has led here, whose sender is not charged for it.
            peer.keeping = asyncio.create_task(self._dial(peer), context=Context())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that ends by itself; `close` cancels it."""
        self._tasks.start(work)

    # For `Realm`, publications and handlers

    def find(self, name: str) -> Peer | None:
        """Return a realm by its local name, removed ones included; None if there is none.

        A realm is found by its former, unconfirmed name, too.
        """
        folded = fold(name)
        found = next((p for p in self._peers.values() if fold(p.known.name) == folded), None)
        if found is None and "~" in folded:
            found = next((p for p in self._peers.values() if fold(p.known.tag) == folded), None)
        return found

    def by_key(self, public_key: bytes) -> Peer | None:
        """Return the realm with this key, removed ones included; None if there is none."""
        return next((p for p in self._peers.values() if p.known.public_key == public_key), None)

    def get(self, realm_id: int) -> Peer | None:
        """Return the realm with this id; None if it was evicted meanwhile."""
        return self._peers.get(realm_id)

    def by_id(self, realm_id: int) -> Peer:
        """Return the realm with this id, which must exist."""
        return self._peers[realm_id]

    def all_peers(self) -> list[Peer]:
        """Return all realms in the order of their names, removed ones included."""
        return sorted(self._peers.values(), key=lambda peer: fold(peer.known.name))

    def listed(self) -> list[Peer]:
        """Return all realms in the order of their names, without removed ones."""
        return [peer for peer in self.all_peers() if peer.known.state != REMOVED]

    def deliver(
        self, message: StoredMessage, session: Session | None, report: StateReport | None
    ) -> None:
        """Send a durable message to the realms in whose outboxes it is.

        Args:
            session: The session that sent the message.
            report: Called with the message's state, if its sender waits for one realm's
                confirmation.
        """
        conversation = message.conversation
        for realm_id, number in message.outgoing:
            peer = self._peers[realm_id]
            if message.source is None and not peer.known.vouched:
                self.start(self.vouch(peer))
            if conversation.number is None:
                item = outbox_rows.private(message, number)
            elif conversation.realm_id is None:
                item = self._relayed(message, number)
            else:
                item = outbox_rows.post(message, number)
                peer.expect_echo(message.id, session)
            if report is not None:
                if peer.up:
                    peer.wait_for(message.id, report)
                else:
                    report(outbox.QUEUED, None, 0)
            peer.offer(item)

    def _relayed(self, message: StoredMessage, number: int) -> Item:
        """Return the outbox row of a new message in a group hosted here."""
        home_id = message.conversation.members[message.sender].realm_id
        home = None if home_id is None else self._peers[home_id].known
        return outbox_rows.relayed(message, number, home)

    def notify_outbox(self, realm_ids: Collection[int]) -> None:
        """Send rows other than messages that were enqueued for these realms."""
        for realm_id in realm_ids:
            self._peers[realm_id].notify_outbox()

    async def vouch(self, peer: Peer) -> None:
        """Confirm a realm, because a local user interacts with it."""

        def change(tx: Connection, now: int) -> KnownRealm:
            return realm_trust.vouch(tx, peer.known.id, self._local_name)

        if peer.known.vouched:
            return

        def apply(known: KnownRealm) -> None:
            self.upsert(known)

        with suppress(ChatError):  # the next message tries again
            await self._journal.write(change, apply)
