"""All other realms: who they are, who dials whom, and what becomes of messages for them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection

from shared.background_tasks import BackgroundTasks
from shared.protocol.commands.messages import Delivery
from shared.protocol.commands.realms import RealmLink
from shared.protocol.errors import ChatError
from shared.protocol.values import fold
from ws_server.federation.cloned_realms import DOUBLE
from ws_server.federation.dialling import keep
from ws_server.federation.handshake import Role, Seal, Transcript
from ws_server.federation.link import Confirmed, Link
from ws_server.federation.peer import SHUT, Peer
from ws_server.federation.questions import no_answer
from ws_server.net.session import Outlet, Session
from ws_server.realm import Realm
from ws_server.store import outbox, outbox_queries, outbox_rows, realm_trust, realms
from ws_server.store.drafts import StoredMessage
from ws_server.store.outbox_rows import Item, LocalMessage
from ws_server.store.realms import ACTIVE, REMOVED, KnownRealm

MAX_DIALS = 32
"""Known realms that are dialled at once; the others wait."""
MAX_ADDS = 8
"""Realms that people add at once."""


class PeerRegistry:
    """Every other realm by its id; `Realm.links` to the gate and the handlers."""

    def __init__(
        self, realm: Realm, *, policy: str | None, trial: bool, public: bool, private: bool
    ) -> None:
        """Know no other realm yet.

        Args:
            policy: Who may add realms: open, admin or closed; None: by where it stands.
            trial: Only this machine reaches the server; see `Settings.trial`.
            public: Its own network is not for strangers to see.
            private: It is part of that network, so that people may add realms in it.
        """
        self.realm = realm
        self.policy = policy or ("trial" if trial else "admin")
        self.trial = trial
        self.public = public
        self.private = private
        self.public_key = realm.key.public_key().public_bytes_raw()
        self.port = 0
        self.tls = False
        self.dials = asyncio.Semaphore(MAX_DIALS)
        self.adds = asyncio.Semaphore(MAX_ADDS)
        self._dials = False
        self._peers: dict[int, Peer] = {}
        self._tasks = BackgroundTasks()

    async def load(self) -> None:
        """Learn which realms there are; until `open`, none is dialled."""

        def ask(tx: Connection) -> tuple[list[KnownRealm], dict[int, int]]:
            return realms.everybody(tx), outbox_queries.counts(tx)

        known, counts = await self.realm.database.read(ask)
        for one in known:
            self.upsert(one, counts.get(one.id, 0))

    def open(self, port: int, tls: bool) -> None:
        """Begin to dial those whose address is known.

        Args:
            port: Where this realm listens, which the others are told.
        """
        self.port, self.tls, self._dials = port, tls, True
        for peer in self._peers.values():
            self._keep(peer)

    async def close(self) -> None:
        """End all links and tries."""
        for peer in self._peers.values():
            if peer.keeping is not None:
                peer.keeping.cancel()
            if peer.link is not None:
                peer.link.end(1001, "the realm goes away")
        self._tasks.cancel()
        tasks = [*self._tasks, *(p.keeping for p in self._peers.values() if p.keeping)]
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    def upsert(self, known: KnownRealm, queued: int = 0, *, dials: bool = True) -> Peer:
        """Take what is now known of a realm and act on its state.

        Args:
            dials: Dial it, if it may be and nobody does yet.
        """
        peer = self._peers.get(known.id)
        if peer is None:
            peer = self._peers[known.id] = Peer(self, known, queued)
        peer.learn(known)
        if dials:
            self._keep(peer)
        return peer

    def _keep(self, peer: Peer) -> None:
        known = peer.known
        if self._dials and known.state == ACTIVE and known.address and peer.keeping is None:
            peer.keeping = asyncio.create_task(keep(self, peer))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends by itself, or with this realm."""
        self._tasks.start(work)

    def watch(self, task: asyncio.Task[None]) -> None:
        """See to it that a task ends before this realm does."""
        self._tasks.keep(task)

    # What the gate and the handlers ask

    def find(self, name: str) -> Peer | None:
        """Return a realm by its name here, also one that was removed; None if there is none.

        The name that it had until somebody confirmed it goes on meaning it.
        """
        folded = fold(name)
        found = next((p for p in self._peers.values() if fold(p.known.name) == folded), None)
        if found is None and "~" in folded:
            found = next((p for p in self._peers.values() if fold(p.known.tag) == folded), None)
        return found

    def by_key(self, public_key: bytes) -> Peer | None:
        """Return the realm that has this key, also one that was removed."""
        return next((p for p in self._peers.values() if p.known.public_key == public_key), None)

    def by_id(self, realm_id: int) -> Peer:
        """Return the realm with this id, which must exist."""
        return self._peers[realm_id]

    def everybody(self) -> list[Peer]:
        """Return all realms by name, also those that were removed."""
        return sorted(self._peers.values(), key=lambda peer: fold(peer.known.name))

    def listed(self) -> list[Peer]:
        """Return the realms that were not removed, by name."""
        return [peer for peer in self.everybody() if peer.known.state != REMOVED]

    def deliver(
        self, message: StoredMessage, session: Session | None, told: Confirmed | None
    ) -> None:
        """Send a message that is durable to the realms it waits for.

        Args:
            session: Who sent it here.
            told: Told its state as soon as it is known, if it waits for one realm's answer.
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
            if told is not None:
                if peer.up:
                    peer.wait_for(message.id, told)
                else:
                    told(outbox.QUEUED, None, 0)
            peer.offer(item)

    def _relayed(self, message: StoredMessage, number: int) -> Item:
        """Return the row of a message of a group hosted here that was just written."""
        home_id = message.conversation.members[message.sender].realm_id
        home = None if home_id is None else self._peers[home_id].known
        return outbox_rows.relayed(message, number, home)

    def notify_outbox(self, realm_ids: Collection[int]) -> None:
        """Something else than a message was put into the outbox for these realms."""
        for realm_id in realm_ids:
            self._peers[realm_id].notify_outbox()

    async def ask(self, realm_id: int, what: str, **body: Any) -> dict[str, Any]:
        """Ask another realm, and return what it answers.

        Raises:
            ChatError: REALM_UNREACHABLE, REALM_REFUSED, or what it refused.
        """
        peer = self._peers[realm_id]
        if peer.link is None or not peer.up:
            raise no_answer()
        return await peer.link.asks.ask(what, **body)

    async def vouch(self, peer: Peer) -> None:
        """Somebody here has to do with a realm: it is no stranger any more."""

        def change(tx: Connection, now: int) -> KnownRealm:
            return realm_trust.vouch(tx, peer.known.id, self.realm.local_name)

        if peer.known.vouched:
            return

        def learn(known: KnownRealm) -> None:
            self.upsert(known)

        with suppress(ChatError):  # noted with the next message
            await self.realm.journal.write(change, learn)

    # What is told to people

    def announce_link(self, peer: Peer, state: str) -> None:
        """Tell admins, and those with messages waiting there."""
        self.start(self._announce_link(peer, state))

    async def _announce_link(self, peer: Peer, state: str) -> None:
        with suppress(ChatError):
            concerned = await self.realm.database.read(outbox_queries.concerned, peer.known.id)
            self.realm.hub.publish(RealmLink(peer.known.name, state), concerned)

    def announce_name(self, peer: Peer, was: str) -> None:
        """Tell admins, and those who have conversations with people there, its new name."""
        self.start(self._announce_name(peer, was))

    async def _announce_name(self, peer: Peer, was: str) -> None:
        def ask(tx: Connection) -> set[int]:
            told = set(outbox_queries.concerned(tx, peer.known.id))
            return told | realm_trust.people_of(tx, peer.known.id)

        with suppress(ChatError):
            told = await self.realm.database.read(ask)
            self.realm.hub.publish(RealmLink(peer.known.name, peer.told, was), told)

    def announce_delivery(self, own: LocalMessage, code: str | None, told: bool) -> None:
        """Tell the sender's sessions how a queued message fared, unless the only one knows."""
        sessions = self.realm.hub.of(own.sender_id)
        if len(sessions) > (1 if told else 0):
            state = outbox.REFUSED if code else outbox.DELIVERED
            event = Delivery(own.conversation, own.id, own.seq, state, code)
            self.realm.hub.publish(event, (own.sender_id,))

    def accepted(
        self, realm_id: int, outlet: Outlet, transcript: Transcript, begun: float
    ) -> Link | None:
        """Take a link that the other realm dialled, or close it and return None."""
        peer = self._peers[realm_id]
        if peer.known.state != ACTIVE or peer.known.public_key != transcript.dialler.key:
            outlet.close_with(SHUT, "this realm may not link here any more")
            return None
        seal = Seal(transcript, self.realm.key, Role.LISTENER)
        link = peer.adopt(outlet, seal, dialled_by_us=False, begun=begun)
        if link is None:
            outlet.close_with(DOUBLE, "another link to this realm is kept")
        return link
