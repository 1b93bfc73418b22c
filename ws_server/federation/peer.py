"""One other realm: its record, its link, and the sessions that wait for its confirmations."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from shared.background_tasks import BackgroundTasks
from shared.bounded import BoundedDict
from shared.protocol.commands.messages import Delivery
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.federation.frames.declaring import Shaped
from ws_server.federation.frames.questions import Question
from ws_server.federation.links.cloned_realms import Replaceable, Seen
from ws_server.federation.links.confirmations import Confirmations
from ws_server.federation.outbound.outgoing import Outgoing
from ws_server.federation.outbound.questions import Questions, no_answer
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

A = TypeVar("A", bound=Shaped)

ANSWER = 1.0
"""Seconds that `send` waits for the peer's confirmation before it replies `queued`."""
SHUT = 4503
"""Close code for the link of a realm that was blocked or removed, or whose key was replaced."""
MAX_ECHOES = 10_000
"""Posts whose sender's session is remembered until the host relays them back with a seq."""
MAX_REQUESTS = 1_000
"""Unanswered requests of local users to create a group."""

StateReport = Callable[[str, str | None, int], None]
"""Called with a message's state, its refusal code if refused, and its seq if the host set one
(0 if not)."""


@dataclass(slots=True)
class Count:
    """Totals of one peer since the server's start, for the metrics."""

    sent: int = 0
    """Rows that the peer has confirmed as stored."""
    received: int = 0
    """Rows of the peer that are durable here."""
    refused: int = 0
    """Rows that the peer has refused."""
    attempts: int = 0
    """Attempts to dial the peer."""


class PeerLink(Replaceable, Protocol):
    """The part of a link that its peer uses: `link.Link`."""

    outgoing: Outgoing
    questions: Questions

    def end(self, code: int, reason: str) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class PeerServices:
    """The services that all peers use."""

    journal: Journal
    cache: Cache
    hub: Hub
    news: PeerNews
    tasks: BackgroundTasks


class Peer:
    """One other realm: its record, its link, and the attempts to dial it."""

    def __init__(self, services: PeerServices, known: KnownRealm, queued: int) -> None:
        self._cache = services.cache
        self._hub = services.hub
        self._news = services.news
        self._tasks = services.tasks
        self.known = known
        self.queued = queued
        """Rows in its outbox, sent ones included."""
        self.link: PeerLink | None = None
        self.dialled_by_us = False
        self.up = False
        self.attempts = 0
        """Attempts to dial it since its link was last up."""
        self.next_try: int | None = None
        """The time of the next attempt, in Unix milliseconds."""
        self.trouble = ""
        """Why the last attempt failed; empty while the link is up."""
        self.other_key: bytes | None = None
        """The key that answered at its address instead of its own."""
        self.count = Count()
        self.copies = Seen()
        """Whether two servers with the peer's key were detected."""
        self.copied = Seen()
        """Whether the peer has detected two servers with this realm's key."""
        self.link_state = "down"
        """The state of its link that was last announced to users: up or down."""
        self.linked_at = -math.inf
        """When its present link began, by the loop's clock."""
        self.wake = asyncio.Event()
        self.down = asyncio.Event()
        self.down.set()
        self._waiting: dict[str, StateReport] = {}
        self._echoes: BoundedDict[str, Session | None] = BoundedDict(MAX_ECHOES)
        self._probes: dict[str, asyncio.Future[None]] = {}
        self._confirmations = Confirmations(
            *(known.id, services.journal, services.news, services.tasks),
            link=lambda: self.link,
            report=self._report,
            noted=self._count_queued,
        )
        self.keeping: asyncio.Task[None] | None = None
        self.opened = asyncio.Event()
        self.expected: Counter[Expected] = Counter()
        """Users that open questions ask the peer to add to its groups."""
        self.requests: BoundedDict[tuple[int, str], tuple[str, float]] = BoundedDict(MAX_REQUESTS)
        """Unanswered requests to create a group: by account id and group name, the request's id
        and the monotonic time of its start."""

    @contextmanager
    def expecting(self, who: Expected) -> Iterator[None]:
        """Within this context, allow the peer to add a local user to one of its groups.

        Args:
            who: The user's id, and the group's number; None for a group that is being created.
        """
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
        """Send a message for this peer that was just committed."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.offer(item)

    @property
    def state(self) -> str:
        """Its trust state, as `listrealm` shows it."""
        if self.known.state == ACTIVE and self.other_key is not None:
            return "key changed"
        return "copied" if self.known.state == ACTIVE and self.copies else self.known.state

    def learn(self, known: KnownRealm) -> None:
        """Apply a changed record: its name, address, state or key."""
        if known.public_key == self.known.public_key:
            # The received numbers in memory are newer than those of the record.
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
        """Count and send a row other than a message that was just committed for this peer."""
        self.queued += 1
        if self.link is not None and self.up:
            self.link.outgoing.notify_outbox()

    async def ask(self, question: Question[A]) -> A:
        """Send a question to the peer and return its answer.

        Raises:
            ChatError: REALM_UNREACHABLE, no link or no answer in time; or the peer's refusal, as
                `Questions.ask` raises it.
            BadValue: the answer is malformed.
        """
        if self.link is None or not self.up:
            raise no_answer()
        return await self.link.questions.ask(question)

    def wait_for(self, message_id: str, report: StateReport) -> None:
        """Report a message's state once; after ANSWER seconds, as `queued`."""
        self._waiting[message_id] = report
        asyncio.get_running_loop().call_later(ANSWER, self._report, message_id, outbox.QUEUED)

    def _report(self, message_id: str, state: str, code: str | None = None, seq: int = 0) -> bool:
        report = self._waiting.pop(message_id, None)
        if report is not None:
            report(state, code, seq)
        return report is not None

    def expect_probe(self, token: str) -> asyncio.Future[None]:
        """Return a future that is done once the probe row with this token is stored on either side.

        The future raises ChatError(REALM_REFUSED) if the peer refuses the row.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._probes[token] = future
        future.add_done_callback(lambda _: self._probes.pop(token, None))
        return future

    def probed(self, token: str, refused: str | None) -> None:
        """Resolve the future of a probe row: stored, or refused with a code."""
        future = self._probes.get(token)
        if future is None or future.done():
            return
        if refused is None:
            future.set_result(None)
        else:
            future.set_exception(ChatError(ErrorCode.REALM_REFUSED, f"it answers {refused}"))

    def expect_echo(self, message_id: str, session: Session | None) -> None:
        """Remember the session that posted a message to a group that this peer hosts."""
        self._echoes[message_id] = session

    def echoed(self, message: StoredMessage) -> Session | None:
        """Announce to the sender that the host has assigned a seq to their message.

        Returns:
            The session that posted the message, if it is still open.
        """
        if message.id not in self._echoes and not (
            message.is_post and self._hub.of(message.sender)
        ):
            return None
        reported = self._report(message.id, outbox.DELIVERED, None, message.seq)
        session = self._echoes.pop(message.id, None)
        if not reported:
            event = Delivery(message.address, message.id, message.seq, outbox.DELIVERED)
            self._hub.publish(event, (message.sender,))
        return session if session is not None and not session.has_ended else None

    def keep_by(self, task: asyncio.Task[None] | None) -> None:
        """Replace the task that keeps the link up; None stops it."""
        if self.keeping is not None:
            self.keeping.cancel()
            self._tasks.keep(self.keeping)
        self.keeping = task

    def linked(self, link: PeerLink, dialled_by_us: bool, now: float) -> None:
        """Attach a new link, which the peer has not opened yet.

        Args:
            now: The time of the loop's clock.
        """
        self.link, self.dialled_by_us, self.linked_at = link, dialled_by_us, now
        self.up = False
        self.opened.clear()
        self.down.clear()

    # Reports of the link

    def link_copied(self) -> None:
        """Record that the peer has detected two servers with this realm's key."""
        if self.copied.note():
            log.error(
                "another server has this realm's key: stop one of both",
                extra={"seen_by": self.known.name},
            )

    def link_opened(self, confirmed: int, refused: dict[int, str]) -> None:
        """Mark the link as up; the peer has stored or refused all rows up to `confirmed`."""
        self.up = True
        self.opened.set()
        self.attempts, self.next_try = 0, None
        self.trouble, self.other_key = "", None
        self._confirmations.opened(confirmed, refused)
        log.info("link up", extra={"realm": self.known.name})
        self._announce_link("up")

    def _announce_link(self, state: str) -> None:
        if state != self.link_state:
            self.link_state = state
            self._news.announce_link(self, state)

    def link_confirmed(self, items: list[Item], up_to: int, refused: dict[int, str]) -> None:
        """Process the peer's confirmation of rows, stored ones and refused ones."""
        for item in items:
            if item.kind == outbox.PROBE:
                self.probed(item.body["token"], refused.get(item.number))
        self.count.refused += len(refused)
        self.count.sent += len(items) - len(refused)
        self._confirmations.add(items, up_to, refused)

    def link_received(self, log_name: str, number: int, refusals: str) -> None:
        """Record that the peer's rows are durable here up to a number.

        Args:
            log_name: The peer's history to which the number belongs.
            refusals: The recently refused rows, as JSON.
        """
        before = self.known.received if self.known.received_log == log_name else 0
        self.count.received += max(0, number - before)
        self.known = replace(self.known, received=number, received_log=log_name, refusals=refusals)

    def link_ended(self, link: PeerLink) -> None:
        """Detach a link that has ended; ignore one that was replaced before."""
        if link is not self.link:
            return
        self.link = None
        self._confirmations.flush()
        self.opened.clear()
        self.down.set()
        self.up = False
        if self.link_state == "up":
            log.info("link down", extra={"realm": self.known.name})
            self._announce_link("down")
        for message_id in list(self._waiting):
            self._report(message_id, outbox.QUEUED)
