"""All other realms: who they are, who dials whom, and what becomes of messages for them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.messages import Delivery
from shared.protocol.commands.realms import RealmLink
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.federation.asks import no_answer
from ws_server.federation.handshake import NotProven, Role, Seal, Transcript
from ws_server.federation.introduce import dial_realm
from ws_server.federation.link import Confirmed, Link
from ws_server.federation.reach import Unreachable
from ws_server.federation.wire import Dialled
from ws_server.key import fingerprint
from ws_server.net.session import Outlet, Session
from ws_server.realm import Realm
from ws_server.store import outbox, realms
from ws_server.store.messages import Draft
from ws_server.store.outbox import Item, Own
from ws_server.store.realms import ACTIVE, KnownRealm

log = logging.getLogger(__name__)

FIRST_DELAY, DELAY, LATER_DELAY = 0.5, 5.0, 60.0
"""Seconds between tries: the first, the most in the first OUTAGE seconds, the most afterwards."""
OUTAGE = 600.0
ANSWER = 1.0
"""Seconds that `send` waits for the other realm before it answers `queued`."""
DOUBLE = 4401
"""Closes the one of two links between the same realms that is not kept."""
BLOCKED = 4503
MAX_ECHOES = 10_000
"""Posts whose sender's session is remembered until the host has given them their place."""


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
        self.next_try: int | None = None
        """Unix milliseconds."""
        self.wake = asyncio.Event()
        self.down = asyncio.Event()
        self.down.set()
        self._waiting: dict[str, Confirmed] = {}
        self._echoes: dict[str, Session | None] = {}
        self._confirming: tuple[int, dict[int, str]] | None = None
        self.keeping: asyncio.Task[None] | None = None
        self.opened = asyncio.Event()

    def offer(self, item: Item) -> None:
        """A message for this realm was committed."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.offer(item)

    def locate(self, known: KnownRealm) -> None:
        """Learn where it is dialled and what it may; how far it has got is known better here."""
        self.known = replace(
            known, received=self.known.received, received_log=self.known.received_log
        )
        self.wake.set()

    def nudge(self) -> None:
        """Something else for this realm was committed."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.nudge()

    def wait_for(self, message_id: str, told: Confirmed) -> None:
        """Tell how a message fared, at the latest after ANSWER seconds, as `queued`."""
        self._waiting[message_id] = told
        asyncio.get_running_loop().call_later(ANSWER, self._tell, message_id, outbox.QUEUED)

    def _tell(self, message_id: str, state: str, code: str | None = None, seq: int = 0) -> bool:
        told = self._waiting.pop(message_id, None)
        if told is not None:
            told(state, code, seq)
        return told is not None

    def expect_echo(self, message_id: str, session: Session | None) -> None:
        """Remember who posted a message to a group that this realm hosts."""
        self._echoes[message_id] = session
        if len(self._echoes) > MAX_ECHOES:
            del self._echoes[next(iter(self._echoes))]

    def echoed(self, draft: Draft) -> Session | None:
        """The host has given a message its place; tell who posted it."""
        if draft.id not in self._echoes and not self._realm.hub.of(draft.sender):
            return None
        told = self._tell(draft.id, outbox.DELIVERED, None, draft.seq)
        session = self._echoes.pop(draft.id, None)
        assert draft.conversation is not None
        address = draft.conversation.address(draft.sender)
        if not told and draft.sender in draft.conversation.members:
            event = Delivery(address, draft.id, draft.seq, outbox.DELIVERED)
            self._realm.hub.publish(event, (draft.sender,))
        return session if session is not None and session.open else None

    def adopt(self, outlet: Outlet, seal: Seal, dialled_by_us: bool) -> Link | None:
        """Take a proven connection as the link; None if the one that is up is kept instead.

        Of two, that is the one whose dialler has the lower key, so both sides choose the same. One
        dialled by the same side as the present one replaces it: that side knows it was cut.
        """
        present = self.link
        if present is not None and self.dialled_by_us != dialled_by_us:
            ours_is_lower = self._peers.public_key < self.known.public_key
            if ours_is_lower != dialled_by_us:
                return None
        link = Link(self._realm, self.known, outlet, seal, self)
        self.link, self.dialled_by_us = link, dialled_by_us
        self.up = False
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
        self._confirm_later(confirmed, {})
        log.info("link up", extra={"realm": self.known.name})
        self._peers.announce_link(self, "up")

    def link_confirmed(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        for item in items:
            # A post is delivered when its echo brings its place.
            if item.own is not None and item.number not in refused and item.kind != outbox.POST:
                told = self._tell(item.own.id, outbox.DELIVERED)
                self._peers.announce_delivery(item.own, None, told)
        # A refusal is told once it is kept, so that who then looks finds it.
        held = [(item.own, refused[item.number]) for item in items if item.number in refused]
        self._confirm_later(up_to, refused, [(own, code) for own, code in held if own is not None])

    def link_received(self, log_name: str, number: int) -> None:
        self.known = replace(self.known, received=number, received_log=log_name)

    def link_ended(self, link: Link) -> None:
        if link is not self.link:
            return
        self.link = None
        self.opened.clear()
        self.down.set()
        if self.up:
            self.up = False
            log.info("link down", extra={"realm": self.known.name})
            self._peers.announce_link(self, "down")
        for message_id in list(self._waiting):
            self._tell(message_id, outbox.QUEUED)

    def _confirm_later(
        self, up_to: int, refused: dict[int, str], held: Sequence[tuple[Own, str]] = ()
    ) -> None:
        self._peers.start(self._confirm(up_to, refused, held))

    async def _confirm(
        self, up_to: int, refused: dict[int, str], held: Sequence[tuple[Own, str]]
    ) -> None:
        def forget(tx: Connection, now: int) -> int:
            outbox.confirm(tx, self.known.id, up_to, refused)
            return outbox.counts(tx).get(self.known.id, 0)

        try:
            self.queued = await self._realm.journal.write(forget)
        except ChatError:
            return  # it is confirmed again, at the latest by the next link
        for own, code in held:
            told = self._tell(own.id, outbox.REFUSED, code)
            self._peers.announce_delivery(own, code, told)


class Peers:
    """Every other realm by its id; `Realm.links` to the gate and the handlers."""

    def __init__(self, realm: Realm, *, policy: str, public: bool) -> None:
        self.realm = realm
        self.policy = policy
        self.public = public
        self.public_key = realm.key.public_key().public_bytes_raw()
        self.port = 0
        self.tls = False
        self._peers: dict[int, Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int, tls: bool) -> None:
        """Begin to dial those whose address is known.

        Args:
            port: Where this realm listens, which the others are told.
        """
        self.port, self.tls = port, tls

        def ask(tx: Connection) -> tuple[list[KnownRealm], dict[int, int]]:
            return realms.everybody(tx), outbox.counts(tx)

        known, counts = await self.realm.database.read(ask)
        for one in known:
            self.know(one, counts.get(one.id, 0))

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

    def know(self, known: KnownRealm, queued: int = 0) -> Peer:
        """Keep what is known of a realm, and dial it if there is an address."""
        peer = self._peers.get(known.id)
        if peer is None:
            peer = self._peers[known.id] = Peer(self, known, queued)
        peer.locate(known)
        if known.state == ACTIVE and known.address is not None and peer.keeping is None:
            peer.keeping = asyncio.create_task(self._keep(peer))
        return peer

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that ends by itself, or with this realm."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What the gate and the handlers ask

    def find(self, name: str) -> Peer | None:
        """Return a realm by its name here; None if there is none, or it was removed."""
        folded = fold(name)
        for peer in self._peers.values():
            if fold(peer.known.name) == folded and peer.known.state != realms.REMOVED:
                return peer
        return None

    def everybody(self) -> list[Peer]:
        """Return all realms by name."""
        kept = (p for p in self._peers.values() if p.known.state != realms.REMOVED)
        return sorted(kept, key=lambda peer: fold(peer.known.name))

    def deliver(
        self, draft: Draft, session: Session | None = None, told: Confirmed | None = None
    ) -> None:
        """Send a message that is durable to the realms it waits for.

        Args:
            session: Who sent it here.
            told: Told its state as soon as it is known, if it waits for one realm's answer.
        """
        conversation = draft.conversation
        assert conversation is not None
        for realm_id, number in draft.outgoing:
            peer = self._peers[realm_id]
            if conversation.number is None:
                item = outbox.private(draft, realm_id, number)
            elif conversation.realm_id is None:
                item = self._relayed(draft, number)
            else:
                item = outbox.post(draft, number)
                peer.expect_echo(draft.id, session)
            if told is not None and draft.state == outbox.QUEUED:
                if peer.up:
                    peer.wait_for(draft.id, told)
                else:
                    told(outbox.QUEUED, None, 0)
            peer.offer(item)

    def _relayed(self, draft: Draft, number: int) -> Item:
        """Return the row of a message of a group hosted here that was just written."""
        group = draft.conversation
        assert group is not None
        sender = group.members[draft.sender]
        home = None if sender.realm_id is None else self._peers[sender.realm_id].known
        who = outbox.speaker(
            sender.name.partition("@")[0],
            home.name if home else None,
            home.public_key if home else None,
        )
        body = {
            "group": group.number,
            "from": who,
            **outbox.content(draft.id, draft.seq, draft.time, draft.text, draft.file),
        }
        return Item(number, outbox.GROUP, body)

    def nudge(self, realm_ids: Collection[int]) -> None:
        """Something else than a message was put into the outbox for these realms."""
        for realm_id in realm_ids:
            self._peers[realm_id].nudge()

    def echoed(self, realm_id: int, draft: Draft) -> Session | None:
        """A host relayed a message; if somebody here posted it, he is told its place.

        Returns:
            The session that posted it, which has been told.
        """
        return self._peers[realm_id].echoed(draft)

    async def ask(self, realm_id: int, what: str, **body: Any) -> dict[str, Any]:
        """Ask another realm, and return what it answers.

        Raises:
            ChatError: REALM_UNREACHABLE, REALM_REFUSED, or what it refused.
        """
        link = self._peers[realm_id].link
        if link is None:
            raise no_answer()
        return await link.asks.ask(what, **body)

    async def add(self, name: str, address: str, port: int, wanted: str | None) -> Peer:
        """Make a realm known under a name, once it has proven its key.

        Args:
            address: Its host, with `wss://` before it for TLS.
            wanted: The fingerprint its key must have, if that is known.

        Raises:
            ChatError: REALM_UNREACHABLE, none answered there as wanted; REALM_EXISTS, the name is
                another realm's or the realm has another name; REALM_REFUSED.
        """
        scheme, colons, host = address.rpartition("://")
        if colons and scheme not in ("ws", "wss"):
            raise unreachable(f"{address} {port}")
        host = host.strip("[]")
        taken = self.find(name)
        expected = taken.known.public_key if taken else None
        try:
            wire, transcript, state = await dial_realm(self, host, port, scheme == "wss", expected)
        except (Unreachable, NotProven) as error:
            log.info("no realm added", extra={"realm": name, "why": str(error)})
            raise unreachable(f"{address} {port}") from None
        try:
            key = transcript.listener.key
            if wanted is not None and bare(wanted) != bare(fingerprint(key)):
                raise ChatError(
                    ErrorCode.REALM_REFUSED,
                    f"The realm there has the fingerprint {fingerprint(key)}; nothing was added",
                )

            def keep(tx: Connection, now: int) -> KnownRealm:
                return realms.keep(
                    tx,
                    name=name,
                    public_key=key,
                    own_name=transcript.listener.realm,
                    address=host,
                    port=port,
                    tls=scheme == "wss",
                    now=now,
                )

            known: KnownRealm = await self.realm.journal.write(keep)
        except BaseException:
            await wire.closed()
            raise
        if state != ACTIVE:
            await wire.closed()
            return self.know(known)
        peer = self._peers.get(known.id)
        if peer is None:
            peer = self._peers[known.id] = Peer(self, known, 0)
        peer.locate(known)
        if peer.keeping is None:
            peer.keeping = asyncio.create_task(self._keep(peer, (wire, transcript)))
        else:
            # It is dialled already, or has a link.
            await wire.closed()
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                await peer.opened.wait()
        return peer

    # What is told to people

    def announce_link(self, peer: Peer, state: str) -> None:
        """Tell admins, and those with messages waiting there."""
        self.start(self._announce_link(peer, state))

    async def _announce_link(self, peer: Peer, state: str) -> None:
        with suppress(ChatError):
            concerned = await self.realm.database.read(outbox.concerned, peer.known.id)
            self.realm.hub.publish(RealmLink(peer.known.name, state), concerned)

    def announce_delivery(self, own: Own, code: str | None, told: bool) -> None:
        """Tell the sender's sessions how a queued message fared, unless the only one knows."""
        sessions = self.realm.hub.of(own.sender_id)
        if len(sessions) > (1 if told else 0):
            state = outbox.REFUSED if code else outbox.DELIVERED
            event = Delivery(own.conversation, own.id, own.seq, state, code)
            self.realm.hub.publish(event, (own.sender_id,))

    # Dialling

    async def _keep(self, peer: Peer, first: tuple[Dialled, Transcript] | None = None) -> None:
        """Dial a realm whenever its link is down.

        Args:
            first: A connection that is there already.
        """
        since = time.monotonic()
        delay = FIRST_DELAY
        while True:
            if peer.link is not None and first is None:
                await peer.down.wait()
            try:
                if first is not None:
                    await self._live(peer, *first)
                else:
                    await self._live(peer, *await self._dial(peer))
                first = None
                since, delay = time.monotonic(), FIRST_DELAY
                # A link that ends at once is no reason to dial without a pause.
                await asyncio.sleep(FIRST_DELAY * random.uniform(0.2, 1.0))
                continue
            except (Unreachable, NotProven) as error:
                log.debug("no link", extra={"realm": peer.known.name, "why": str(error)})
            most = DELAY if time.monotonic() - since < OUTAGE else LATER_DELAY
            delay = min(most, delay * 2)
            wait = delay * random.uniform(0.7, 1.3)
            peer.attempts += 1
            peer.next_try = int((time.time() + wait) * 1000)
            peer.wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await peer.wake.wait()

    async def _dial(self, peer: Peer) -> tuple[Dialled, Transcript]:
        """Return a proven connection.

        Raises:
            Unreachable, NotProven: there is none.
        """
        known = peer.known
        assert known.address is not None and known.port is not None
        wire, transcript, state = await dial_realm(
            self, known.address, known.port, known.tls, known.public_key
        )
        if state != ACTIVE:
            await wire.closed()
            raise Unreachable("not approved there yet")
        return wire, transcript

    async def _live(self, peer: Peer, wire: Dialled, transcript: Transcript) -> None:
        """Read from a connection that this realm dialled until it ends, if it is the one kept."""
        try:
            link = peer.adopt(wire, Seal(transcript, self.realm.key, Role.DIALLER), True)
            if link is None:
                return
            try:
                while True:
                    link.receive(await wire.read())
            except Unreachable:
                pass
            finally:
                link.lost()
        finally:
            await wire.closed()

    def accepted(self, known: KnownRealm, outlet: Outlet, transcript: Transcript) -> Link | None:
        """Take a link that the other realm dialled; None if another one is kept."""
        peer = self.know(known)
        return peer.adopt(outlet, Seal(transcript, self.realm.key, Role.LISTENER), False)


def bare(text: str) -> str:
    """Return a fingerprint without what people write between its letters."""
    return "".join(c for c in text.upper() if c.isalnum())


def unreachable(where: str) -> ChatError:
    """Return one refusal for all that can fail, so that nobody scans a network by it."""
    return ChatError(
        ErrorCode.REALM_UNREACHABLE,
        f"No realm answered at {where}; nothing was added. Check address and port, and try again",
    )
