"""One other realm: what is known of it, its link if it is up, and who waits for its answer."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from shared.bounded import BoundedDict
from shared.protocol.commands.messages import Delivery
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.federation.cloned_realms import Seen, part
from ws_server.federation.group_replication import GroupReplication
from ws_server.federation.handshake import Seal
from ws_server.federation.handshake_client import HANDSHAKE
from ws_server.federation.link import Confirmed, Link
from ws_server.net.session import BROKEN, Outlet, Session
from ws_server.store import outbox, outbox_queries
from ws_server.store.drafts import StoredMessage
from ws_server.store.group_admission import Expected
from ws_server.store.outbox import Cleared
from ws_server.store.outbox_rows import Item
from ws_server.store.outbox_rows import read as read_items
from ws_server.store.realms import ACTIVE, MAX_ROWS, KnownRealm

if TYPE_CHECKING:
    from ws_server.federation.peer_registry import PeerRegistry

log = logging.getLogger(__name__)

ANSWER = 1.0
"""Seconds that `send` waits for the other realm before it answers `queued`."""
PAUSE = 0.01
"""Seconds between two times that the outbox forgets what was confirmed: a write for each of many
small confirmations would keep messages waiting."""
SHUT = 4503
"""Closes the link of a realm that was blocked or removed, or whose key is trusted no more."""
STORE_FAILED = 4402
"""Closes a link of which something cannot be, or was not noted; it is dialled anew."""
MAX_ECHOES = 10_000
"""Posts whose sender's session is remembered until the host has given them their place."""


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

    def __init__(self, peers: PeerRegistry, known: KnownRealm, queued: int) -> None:
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
        self.copies = Seen()
        """Of it: two servers with its key."""
        self.copied = Seen()
        """It has seen two servers with the key of this realm."""
        self.told = "down"
        """What people were last told of its link: up or down."""
        self._adopted = -math.inf
        self.wake = asyncio.Event()
        self.down = asyncio.Event()
        self.down.set()
        self._waiting: dict[str, Confirmed] = {}
        self._echoes: BoundedDict[str, Session | None] = BoundedDict(MAX_ECHOES)
        self._probes: dict[str, asyncio.Future[None]] = {}
        self._unkept: list[Item] = []
        """What was confirmed, and is not noted yet."""
        self._refused: dict[int, str] = {}
        """What of that was refused."""
        self._keeping_acks: asyncio.TimerHandle | None = None
        self._acks_kept: float | None = None
        self._acked = 0
        """The number up to which a link has confirmed."""
        self._told = 0
        """The number up to which that is noted, and people were told."""
        self._overfull = False
        """Something for it was not even noted; the next link finds it by comparing groups."""
        self.keeping: asyncio.Task[None] | None = None
        self.opened = asyncio.Event()
        self.expected: Counter[Expected] = Counter()
        """Whom it was asked to take into its groups, by questions that are open."""

    @contextmanager
    def expecting(self, who: Expected) -> Iterator[None]:
        """Ask it inside to take somebody of this realm into a group, for a person of this realm."""
        self.expected[who] += 1
        try:
            yield
        finally:
            self.expected[who] -= 1
            if not self.expected[who]:
                del self.expected[who]

    def offer(self, item: Item) -> None:
        """A message for this realm was committed."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.offer(item)

    @property
    def state(self) -> str:
        """Whether it may talk to this realm, as `listrealm` shows it."""
        if self.known.state == ACTIVE and self.other_key is not None:
            return "key changed"
        return "copied" if self.known.state == ACTIVE and self.copies else self.known.state

    def learn(self, known: KnownRealm) -> None:
        """Take what is now known of it: its address, its state, its key."""
        if known.public_key == self.known.public_key:
            # How far it has got is known better here.
            known = replace(
                known,
                received=self.known.received,
                received_log=self.known.received_log,
                refusals=self.known.refusals,
            )
        elif self.link is not None:
            self.link.end(SHUT, "another key is trusted now")
        moved = (known.public_key, known.address, known.port)
        if moved != (self.known.public_key, self.known.address, self.known.port):
            self.trouble, self.other_key = "", None
        renamed, self.known = self.known.name, known
        if renamed != known.name:
            self._realm.cache.drop_realm(renamed)
            self._peers.announce_name(self, renamed)
        if known.state != ACTIVE:
            if self.link is not None:
                self.link.end(SHUT, f"this realm is {known.state}")
            self.keep_by(None)
        self.wake.set()

    def notify_outbox(self) -> None:
        """Something else for this realm was committed."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.notify_outbox()

    def wait_for(self, message_id: str, told: Confirmed) -> None:
        """Tell how a message fared, at the latest after ANSWER seconds, as `queued`."""
        self._waiting[message_id] = told
        asyncio.get_running_loop().call_later(ANSWER, self._tell, message_id, outbox.QUEUED)

    def _tell(self, message_id: str, state: str, code: str | None = None, seq: int = 0) -> bool:
        told = self._waiting.pop(message_id, None)
        if told is not None:
            told(state, code, seq)
        return told is not None

    def expect_probe(self, token: str) -> asyncio.Future[None]:
        """Return what is done once the row with this token was stored, here or there."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probes[token] = future
        future.add_done_callback(lambda _: self._probes.pop(token, None))
        return future

    def probed(self, token: str, refused: str | None) -> None:
        """A row was stored, or refused."""
        future = self._probes.get(token)
        if future is None or future.done():
            return
        if refused is None:
            future.set_result(None)
        else:
            future.set_exception(ChatError(ErrorCode.REALM_REFUSED, f"it answers {refused}"))

    def expect_echo(self, message_id: str, session: Session | None) -> None:
        """Remember who posted a message to a group that this realm hosts."""
        self._echoes[message_id] = session

    def echoed(self, message: StoredMessage) -> Session | None:
        """The host has given a message its place; tell who posted it.

        Returns:
            The session that posted it, if it is still there.
        """
        if message.id not in self._echoes and not (
            message.is_post and self._realm.hub.of(message.sender)
        ):
            return None
        told = self._tell(message.id, outbox.DELIVERED, None, message.seq)
        session = self._echoes.pop(message.id, None)
        if not told:
            event = Delivery(message.address, message.id, message.seq, outbox.DELIVERED)
            self._realm.hub.publish(event, (message.sender,))
        return session if session is not None and session.open else None

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
            self._peers.start(self._note_copies(part(present, link)))
        link.begin()
        return link

    async def _note_copies(self, parted: Coroutine[Any, Any, bool]) -> None:
        if await parted and self.copies.note():
            log.error("two servers have the key of one realm", extra={"realm": self.known.name})

    # What the link tells

    def link_copied(self) -> None:
        if self.copied.note():
            log.error(
                "another server has this realm's key: stop one of both",
                extra={"seen_by": self.known.name},
            )

    def link_opened(self, link: Link, confirmed: int, refused: dict[int, str]) -> None:
        self.up = True
        self.opened.set()
        self.attempts, self.next_try = 0, None
        self.trouble, self.other_key = "", None
        self._peers.start(self._confirm(confirmed, refused))
        renewed = link.their_log != self.known.received_log
        replication = GroupReplication(self._realm, self.known)
        self._peers.start(replication.catch_up(renewed=renewed, restored=link.restored))
        log.info("link up", extra={"realm": self.known.name})
        self._tell_link("up")

    def _tell_link(self, state: str) -> None:
        if state != self.told:
            self.told = state
            self._peers.announce_link(self, state)

    def link_confirmed(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        for item in items:
            if item.kind == outbox.PROBE:
                self.probed(item.body["token"], refused.get(item.number))
        self.count.refused += len(refused)
        self.count.sent += len(items) - len(refused)
        self._acked = up_to
        self._unkept += items
        self._refused |= refused
        if self._keeping_acks is None:
            loop = asyncio.get_running_loop()
            wait = 0.0
            if self._acks_kept is not None:
                wait = max(wait, self._acks_kept + PAUSE - loop.time())
            self._keeping_acks = loop.call_later(wait, self._keep_acks)

    def _keep_acks(self) -> None:
        """Let the outbox forget what was confirmed since it last did."""
        if self._keeping_acks is None:
            return
        self._keeping_acks.cancel()
        self._keeping_acks = None
        self._acks_kept = asyncio.get_running_loop().time()
        refused, self._refused = self._refused, {}
        unkept, self._unkept = self._unkept, []
        self._peers.start(self._confirm(self._acked, refused, unkept))

    def link_received(self, log_name: str, number: int, refusals: str) -> None:
        before = self.known.received if self.known.received_log == log_name else 0
        self.count.received += max(0, number - before)
        self.known = replace(self.known, received=number, received_log=log_name, refusals=refusals)

    def link_ended(self, link: Link) -> None:
        if link is not self.link:
            return
        self.link = None
        self._keep_acks()
        self.opened.clear()
        self.down.set()
        self.up = False
        if self.told == "up":
            log.info("link down", extra={"realm": self.known.name})
            self._tell_link("down")
        for message_id in list(self._waiting):
            self._tell(message_id, outbox.QUEUED)

    async def _confirm(
        self, up_to: int, refused: dict[int, str], acked: list[Item] | None = None
    ) -> None:
        """Forget what the other side has, and tell people what they were not told yet.

        Args:
            acked: What the link has just confirmed; None when one begins, and what the last one
                did not hear any more has to be looked up.
        """
        realm_id, link = self.known.id, self.link

        def forget(tx: Connection, now: int) -> tuple[Cleared, list[Item], int]:
            items = acked
            if items is None:
                found = read_items(tx, realm_id, self._told, MAX_ROWS)
                items = [item for item in found if item.number <= up_to]
            cleared = outbox.confirm(tx, realm_id, up_to, refused)
            return cleared, items, outbox_queries.count(tx, realm_id)

        try:
            cleared, items, self.queued = await self._realm.journal.write(forget)
        except ChatError:
            # The next link confirms it again.
            if link is not None:
                link.end(STORE_FAILED, "what was confirmed cannot be noted now")
            return
        self._overfull = self._overfull or cleared.overfull
        if cleared.moved:
            if self.queued and self.link is not None:
                self.link.end(BROKEN, "what waits has new numbers")
            return
        if self._overfull and not self.queued and self.link is not None:
            self._overfull = False
            self.link.end(STORE_FAILED, "groups have to be compared anew")
        self._told = up_to
        # Told once it is noted, so that who then looks finds what he was told.
        for item in items:
            code = refused.get(item.number)
            # A post is delivered when its echo brings its place.
            if item.own is not None and (code is not None or item.kind != outbox.POST):
                state = outbox.DELIVERED if code is None else outbox.REFUSED
                told = self._tell(item.own.id, state, code)
                self._peers.announce_delivery(item.own, code, told)
