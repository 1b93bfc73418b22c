"""One other realm: what is known of it, its link if it is up, and who waits for its answer."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shared.background_tasks import BackgroundTasks
from shared.bounded import BoundedDict
from shared.protocol.commands.messages import Delivery
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.federation.links.cloned_realms import Replaceable, Seen
from ws_server.federation.links.confirmations import Confirmations
from ws_server.federation.outbound.outgoing import Outgoing
from ws_server.federation.outbound.questions import Asks, no_answer
from ws_server.federation.peer_news import PeerNews
from ws_server.net.hub import Hub
from ws_server.net.session import Session
from ws_server.store.cache import Cache
from ws_server.store.drafts import StoredMessage
from ws_server.store.federation import outbox
from ws_server.store.federation.outbox_rows import Item
from ws_server.store.federation.realms import ACTIVE, KnownRealm
from ws_server.store.groups.group_admission import Expected
from ws_server.store.journal import Journal

log = logging.getLogger(__name__)

ANSWER = 1.0
"""Seconds that `send` waits for the other realm before it answers `queued`."""
SHUT = 4503
"""Closes the link of a realm that was blocked or removed, or whose key is trusted no more."""
MAX_ECHOES = 10_000
"""Posts whose sender's session is remembered until the host has given them their place."""
MAX_REQUESTS = 1_000
"""Groups that people here asked for and got no answer."""

Confirmed = Callable[[str, str | None, int], None]
"""Told how a message fared: its state, the code if it was refused, its seq if that is new."""


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


class PeerLink(Replaceable, Protocol):
    """A link as its peer knows it: `link.Link`."""

    outgoing: Outgoing
    asks: Asks

    def end(self, code: int, reason: str) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class PeerServices:
    """What all peers work with."""

    journal: Journal
    cache: Cache
    hub: Hub
    news: PeerNews
    tasks: BackgroundTasks


class Peer:
    """One other realm: what is known of it, its link if it is up, and the tries to dial it."""

    def __init__(self, services: PeerServices, known: KnownRealm, queued: int) -> None:
        self._cache = services.cache
        self._hub = services.hub
        self._news = services.news
        self._tasks = services.tasks
        self.known = known
        self.queued = queued
        """Rows that wait for it or are on their way."""
        self.link: PeerLink | None = None
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
        self.linked_at = -math.inf
        """Since when it has its link, by the loop's clock."""
        self.wake = asyncio.Event()
        self.down = asyncio.Event()
        self.down.set()
        self._waiting: dict[str, Confirmed] = {}
        self._echoes: BoundedDict[str, Session | None] = BoundedDict(MAX_ECHOES)
        self._probes: dict[str, asyncio.Future[None]] = {}
        self._confirmations = Confirmations(
            *(known.id, services.journal, services.news, services.tasks),
            link=lambda: self.link,
            tell=self._tell,
            noted=self._count_queued,
        )
        self.keeping: asyncio.Task[None] | None = None
        self.opened = asyncio.Event()
        self.expected: Counter[Expected] = Counter()
        """Whom it was asked to take into its groups, by questions that are open."""
        self.requests: BoundedDict[tuple[int, str], tuple[str, float]] = BoundedDict(MAX_REQUESTS)
        """Groups that it was asked to create, and has not answered: by account and name, the id of
        the request, and since when."""

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

    def _count_queued(self, count: int) -> None:
        self.queued = count

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
            self._cache.drop_realm(renamed)
            self._news.announce_name(self, renamed)
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

    async def ask(self, what: str, **body: Any) -> dict[str, Any]:
        """Ask it something, and return what it answers.

        Raises:
            ChatError: REALM_UNREACHABLE, REALM_REFUSED, or what it refused.
        """
        if self.link is None or not self.up:
            raise no_answer()
        return await self.link.asks.ask(what, **body)

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
            message.is_post and self._hub.of(message.sender)
        ):
            return None
        told = self._tell(message.id, outbox.DELIVERED, None, message.seq)
        session = self._echoes.pop(message.id, None)
        if not told:
            event = Delivery(message.address, message.id, message.seq, outbox.DELIVERED)
            self._hub.publish(event, (message.sender,))
        return session if session is not None and session.open else None

    def keep_by(self, task: asyncio.Task[None] | None) -> None:
        """Let another task keep the link up; None if nothing is to."""
        if self.keeping is not None:
            self.keeping.cancel()
            self._tasks.keep(self.keeping)
        self.keeping = task

    def linked(self, link: PeerLink, dialled_by_us: bool, now: float) -> None:
        """Have another link, which is not open yet, since a time by the loop's clock."""
        self.link, self.dialled_by_us, self.linked_at = link, dialled_by_us, now
        self.up = False
        self.opened.clear()
        self.down.clear()

    # What the link tells

    def link_copied(self) -> None:
        """The other side sees two servers at once that have the key of this realm."""
        if self.copied.note():
            log.error(
                "another server has this realm's key: stop one of both",
                extra={"seen_by": self.known.name},
            )

    def link_opened(self, confirmed: int, refused: dict[int, str]) -> None:
        """The other side has everything up to `confirmed`, or refused it; messages may flow."""
        self.up = True
        self.opened.set()
        self.attempts, self.next_try = 0, None
        self.trouble, self.other_key = "", None
        self._confirmations.opened(confirmed, refused)
        log.info("link up", extra={"realm": self.known.name})
        self._tell_link("up")

    def _tell_link(self, state: str) -> None:
        if state != self.told:
            self.told = state
            self._news.announce_link(self, state)

    def link_confirmed(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        """The other side has these for good, or refused them."""
        for item in items:
            if item.kind == outbox.PROBE:
                self.probed(item.body["token"], refused.get(item.number))
        self.count.refused += len(refused)
        self.count.sent += len(items) - len(refused)
        self._confirmations.add(items, up_to, refused)

    def link_received(self, log_name: str, number: int, refusals: str) -> None:
        """What the other side sent is durable here up to a number of a history of its.

        Args:
            refusals: What of it was refused lately, as JSON.
        """
        before = self.known.received if self.known.received_log == log_name else 0
        self.count.received += max(0, number - before)
        self.known = replace(self.known, received=number, received_log=log_name, refusals=refusals)

    def link_ended(self, link: PeerLink) -> None:
        """A link is gone; perhaps one that was replaced before."""
        if link is not self.link:
            return
        self.link = None
        self._confirmations.keep()
        self.opened.clear()
        self.down.set()
        self.up = False
        if self.told == "up":
            log.info("link down", extra={"realm": self.known.name})
            self._tell_link("down")
        for message_id in list(self._waiting):
            self._tell(message_id, outbox.QUEUED)
