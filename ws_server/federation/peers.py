"""All other realms: who they are, who dials whom, and what becomes of messages for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.messages import Delivery
from shared.protocol.commands.realms import RealmLink
from shared.protocol.errors import ChatError
from shared.protocol.values import fold
from ws_server.federation.dialling import keep
from ws_server.federation.handshake import Role, Seal, Transcript
from ws_server.federation.introduce import HANDSHAKE
from ws_server.federation.link import BROKEN, Confirmed, Link
from ws_server.net.session import Outlet
from ws_server.realm import Realm
from ws_server.store import outbox, realms
from ws_server.store.messages import Draft
from ws_server.store.outbox import Item
from ws_server.store.realms import ACTIVE, REMOVED, KnownRealm

log = logging.getLogger(__name__)

ANSWER = 1.0
"""Seconds that `send` waits for the other realm before it answers `queued`."""
DOUBLE = 4401
"""Closes the one of two links between the same realms that is not kept."""
SHUT = 4503
"""Closes the link of a realm that was blocked or removed, or whose key is trusted no more."""
MAX_DIALS = 32
"""Known realms that are dialled at once; the others wait."""
MAX_ADDS = 8
"""Realms that people add at once."""


@dataclass(slots=True)
class Count:
    """Totals of one realm since the start, for the metrics."""

    sent: int = 0
    """Rows that it has confirmed."""
    received: int = 0
    """Rows of its that are durable here."""
    refused: int = 0
    """Rows that it refused for ever."""
    attempts: int = 0
    """Times that it was dialled."""


class Peer:
    """One other realm: what is known of it, its link if it is up, and the tries to dial it."""

    def __init__(self, peers: Peers, known: KnownRealm, queued: int) -> None:
        self._peers = peers
        self._realm = peers.realm
        self.known = known
        self.queued = queued
        """Rows that wait for it or are on their way."""
        self.link: Link | None = None
        self.dialled_by_us = False
        self.up = False
        self.attempts = 0
        """Tries to dial it since its link was up."""
        self.next_try: int | None = None
        """Unix milliseconds."""
        self.trouble = ""
        """Why the last try failed; empty when its link is up."""
        self.other_key: bytes | None = None
        """The key that was found at its address instead of its own."""
        self.count = Count()
        self._told = "down"
        """What people were last told of its link."""
        self._adopted = 0.0
        self.wake = asyncio.Event()
        self.down = asyncio.Event()
        self.down.set()
        self._waiting: dict[int, Confirmed] = {}
        self.keeping: asyncio.Task[None] | None = None
        self.opened = asyncio.Event()

    def offer(self, item: Item) -> None:
        """A message for this realm was committed."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.offer(item)

    @property
    def state(self) -> str:
        """Whether it may talk to this realm, as `listrealm` shows it."""
        changed = self.known.state == ACTIVE and self.other_key is not None
        return "key changed" if changed else self.known.state

    def learn(self, known: KnownRealm) -> None:
        """Take what is now known of it: its address, its state, its key."""
        if known.public_key == self.known.public_key:
            # How far it has got is known better here.
            known = replace(
                known, received=self.known.received, received_log=self.known.received_log
            )
        elif self.link is not None:
            self.link.end(SHUT, "another key is trusted now")
        moved = (known.public_key, known.address, known.port)
        if moved != (self.known.public_key, self.known.address, self.known.port):
            self.trouble, self.other_key = "", None
        self.known = known
        if known.state != ACTIVE:
            if self.link is not None:
                self.link.end(SHUT, f"this realm is {known.state}")
            self.keep_by(None)
        self.wake.set()

    def wait_for(self, number: int, told: Confirmed) -> None:
        """Tell how a message fared, at the latest after ANSWER seconds, as `queued`."""
        self._waiting[number] = told
        asyncio.get_running_loop().call_later(ANSWER, self._tell, number, "queued", None)

    def _tell(self, number: int, state: str, code: str | None) -> bool:
        told = self._waiting.pop(number, None)
        if told is not None:
            told(state, code)
        return told is not None

    def keep_by(self, task: asyncio.Task[None] | None) -> None:
        """Let another task keep the link up; None if nothing is to."""
        if self.keeping is not None:
            self.keeping.cancel()
            self._peers.watch(self.keeping)
        self.keeping = task

    def adopt(
        self, outlet: Outlet, seal: Seal, *, dialled_by_us: bool, begun: float
    ) -> Link | None:
        """Take a proven connection as the link; None if the one that is up is kept instead.

        Of two that were dialled at once, that is the one whose dialler has the lower key, so both
        sides choose the same. Any other new one replaces the present one: who dials has no link,
        so the present one is cut, and this side has not noticed yet.

        Args:
            begun: When the dialler began, or its first frame came, by the loop's clock.
        """
        present = self.link
        now = asyncio.get_running_loop().time()
        if present is not None and self.dialled_by_us != dialled_by_us:
            ours_is_lower = self._peers.public_key < self.known.public_key
            if begun - self._adopted < HANDSHAKE and ours_is_lower != dialled_by_us:
                return None
        link = Link(self._realm, self.known, outlet, seal, self)
        self.link, self.dialled_by_us, self._adopted = link, dialled_by_us, now
        self.up = False
        self.opened.clear()
        self.down.clear()
        if present is not None:
            present.end(DOUBLE, "another link to the same realm is kept")
        link.begin()
        return link

    # What the link tells

    def link_opened(self, link: Link, confirmed: int) -> None:
        self.up = True
        self.opened.set()
        self.attempts, self.next_try = 0, None
        self.trouble, self.other_key = "", None
        self._confirm_later(confirmed, {})
        log.info("link up", extra={"realm": self.known.name})
        self._tell_link("up")

    def _tell_link(self, state: str) -> None:
        if state != self._told:
            self._told = state
            self._peers.announce_link(self, state)

    def link_confirmed(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        for item in items:
            if item.number not in refused:
                told = self._tell(item.number, "delivered", None)
                self._peers.announce_delivery(self, item, None, told)
        self.count.refused += len(refused)
        self.count.sent += len(items) - len(refused)
        # A refusal is told once it is kept, so that who then looks finds it.
        held = [item for item in items if item.number in refused]
        self._confirm_later(up_to, refused, held)

    def link_received(self, log_name: str, number: int) -> None:
        before = self.known.received if self.known.received_log == log_name else 0
        self.count.received += max(0, number - before)
        self.known = replace(self.known, received=number, received_log=log_name)

    def link_ended(self, link: Link) -> None:
        if link is not self.link:
            return
        self.link = None
        self.opened.clear()
        self.down.set()
        self.up = False
        if self._told == "up":
            log.info("link down", extra={"realm": self.known.name})
            self._tell_link("down")
        for number in list(self._waiting):
            self._tell(number, "queued", None)

    def _confirm_later(
        self, up_to: int, refused: dict[int, str], held: list[Item] | None = None
    ) -> None:
        self._peers.start(self._confirm(up_to, refused, held or []))

    async def _confirm(self, up_to: int, refused: dict[int, str], held: list[Item]) -> None:
        def forget(tx: Connection, now: int) -> tuple[bool, int]:
            moved = outbox.confirm(tx, self.known.id, up_to, refused)
            return moved, outbox.counts(tx).get(self.known.id, 0)

        try:
            moved, self.queued = await self._realm.journal.write(forget)
        except ChatError:
            return  # it is confirmed again, at the latest by the next link
        if moved and self.queued and self.link is not None:
            self.link.end(BROKEN, "what waits has new numbers")
        for item in held:
            code = refused[item.number]
            told = self._tell(item.number, "refused", code)
            self._peers.announce_delivery(self, item, code, told)


class Peers:
    """Every other realm by its id; `Realm.links` to the gate and the handlers."""

    def __init__(self, realm: Realm, *, policy: str, public: bool) -> None:
        self.realm = realm
        self.policy = policy
        self.public = public
        self.public_key = realm.key.public_key().public_bytes_raw()
        self.port = 0
        self.tls = False
        self.dials = asyncio.Semaphore(MAX_DIALS)
        self.adds = asyncio.Semaphore(MAX_ADDS)
        self._dials = False
        self._peers: dict[int, Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Learn which realms there are; until `open`, none is dialled."""

        def ask(tx: Connection) -> tuple[list[KnownRealm], dict[int, int]]:
            return realms.everybody(tx), outbox.counts(tx)

        known, counts = await self.realm.database.read(ask)
        for one in known:
            self.know(one, counts.get(one.id, 0))

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
        for task in self._tasks:
            task.cancel()
        tasks = [*self._tasks, *(p.keeping for p in self._peers.values() if p.keeping)]
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    def know(self, known: KnownRealm, queued: int = 0, *, dials: bool = True) -> Peer:
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
        self.watch(asyncio.get_running_loop().create_task(work))

    def watch(self, task: asyncio.Task[None]) -> None:
        """See to it that a task ends before this realm does."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What the gate and the handlers ask

    def find(self, name: str) -> Peer | None:
        """Return a realm by its name here, also one that was removed; None if there is none."""
        folded = fold(name)
        return next((p for p in self._peers.values() if fold(p.known.name) == folded), None)

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

    def deliver(self, draft: Draft, told: Confirmed | None) -> None:
        """Send a message that is durable to the realms it waits for.

        Args:
            told: Told its state as soon as it is known; for private messages, which have one realm.
        """
        conversation = draft.conversation
        assert conversation is not None
        for realm_id, number in draft.outgoing:
            peer = self._peers[realm_id]
            sender = conversation.members[draft.sender].name
            other = next(m for m in conversation.members.values() if m.realm_id == realm_id)
            item = Item(
                number,
                conversation.id,
                draft.sender,
                draft.id,
                sender,
                other.name.partition("@")[0],
                draft.seq,
                draft.time,
                draft.text,
            )
            if told is not None:
                if peer.up:
                    peer.wait_for(number, told)
                else:
                    told("queued", None)
            peer.offer(item)

    # What is told to people

    def announce_link(self, peer: Peer, state: str) -> None:
        """Tell admins, and those with messages waiting there."""
        self.start(self._announce_link(peer, state))

    async def _announce_link(self, peer: Peer, state: str) -> None:
        with suppress(ChatError):
            concerned = await self.realm.database.read(outbox.concerned, peer.known.id)
            self.realm.hub.publish(RealmLink(peer.known.name, state), concerned)

    def announce_delivery(self, peer: Peer, item: Item, code: str | None, told: bool) -> None:
        """Tell the sender's sessions how a queued message fared, all if nobody was told yet."""
        sessions = self.realm.hub.of(item.sender_id)
        if len(sessions) > (1 if told else 0):
            state = "refused" if code else "delivered"
            address = f"{item.to}@{peer.known.name}"
            event = Delivery(address, item.id, item.seq, state, code)
            self.realm.hub.publish(event, (item.sender_id,))

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
