"""The client's session, and catching up with the conversations of its user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast

from shared.bounded import BoundedDict
from shared.client.calls import PendingCall
from shared.client.events import EventQueue
from shared.client.lists import every_page
from shared.client.notices import HistoryChanged, Online
from shared.client.patience import patiently
from shared.client.positions import ClientPositions, Matches, PositionPassed, Told
from shared.protocol.commands.accounts import Limits, SignedIn
from shared.protocol.commands.files import (
    Chunk,
    ChunkTaken,
    Files,
    Upload,
    UploadOpened,
)
from shared.protocol.commands.groups import GroupChanged, LeaveGroup, ListGroup
from shared.protocol.commands.history import Sync
from shared.protocol.commands.messages import Delivery, Message, MessageArrived, Sent
from shared.protocol.commands.private import ListPc
from shared.protocol.records import Event, Reply
from shared.protocol.spec import R, Request
from shared.protocol.values import MAX_POSITIONS, ConversationAddress, fold

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 128 * 1024
"""Bytes of the frame of a message: its text with each byte escaped, and the rest."""
MAX_UPLOADS = 200
"""Uploads remembered, to recognise the message of their last chunk."""
SYNC_RETRY_SECONDS = 1.0
"""Seconds between attempts to sync when the last one brought nothing."""

Ask = Callable[[Request[R]], Awaitable[R]]
T = TypeVar("T")


class ClientSession:
    """The session of the client; every message for the app passes through it."""

    def __init__(self, queue: EventQueue, positions: dict[str, int] | None, events: bool) -> None:
        self.user = ""
        self.realm = ""
        self.token = ""
        self.limits: Limits | None = None
        self.kept = False
        """The token to resume with when the connection breaks."""
        self.files = "offer"
        self.begun = asyncio.Event()
        """Whether the beginning of the events is known."""
        self.news = asyncio.Event()
        """Set to check whether a sync is due and there is room for it."""
        self._queue = queue
        self._events = events
        self._epoch = queue.epoch
        self._positions = ClientPositions(positions)
        self._uploads: BoundedDict[str, Upload] = BoundedDict(MAX_UPLOADS)

    def signed_in(self, reply: SignedIn) -> None:
        """Note a sign-in; missed messages have to be fetched."""
        another = self.user and fold(self.user) != fold(reply.user)
        self.user, self.realm, self.token = reply.user, reply.realm, reply.token
        self.limits = reply.limits
        self.kept = True
        if another or self._epoch not in (None, reply.epoch):
            self._history_changed(reply.epoch)
        else:
            self._epoch = reply.epoch
            if self._queue.epoch is None:
                self._queue.epoch = reply.epoch
        self._positions.connected()
        if not self._positions.started:
            self.begun.clear()
        self.put(Online(reply.user))

    def signed_out(self) -> None:
        """Note the end of the session; another user who signs in next starts afresh."""
        self.kept = False
        self.token = ""

    def put(self, event: Any, size: int = 0) -> None:
        """Queue an event or a notice for the app."""
        if self._events:
            self._queue.put(event, size)

    def event(self, event: Event, size: int) -> None:
        """Handle an event pushed by the server.

        Raises:
            ValueError: the event violates the protocol.
        """
        if not self._events:
            return
        if isinstance(event, MessageArrived):
            if size > MAX_MESSAGE_BYTES:
                raise ValueError("a message is never so large")
            if self._queue.overfull:
                self._positions.drop()
            else:
                self._tell(self._positions.push(event), size)
            if self._positions.incomplete:
                self.news.set()
        elif not self._queue.overfull:
            if isinstance(event, GroupChanged) and fold(event.user) == fold(self.user):
                if event.change in ("left", "removed", "invited"):
                    self._tell(self._positions.forget(event.group))
            elif isinstance(event, Delivery):
                self._tell(self._positions.placed(event.conversation, event.seq, event.message_id))
            self._queue.put(event, size)

    # Sends

    def sending(self, call: PendingCall) -> None:
        """Note a command that is sent for the first time."""
        posts = self._posts(call.request) if self._events else None
        if posts is not None:
            call.place = self.expect(call.number, *posts)

    def expect(self, number: int, to: ConversationAddress, matches: Matches) -> str:
        """From now on, a message of one's own may be what this send has posted; return where."""
        place = self._named(to)
        if self._events:
            self._positions.sent(number, place, matches)
        return place

    def settled(self, number: int, place: str) -> None:
        """Stop expecting a message: its reply was delivered, or never will be."""
        if self._events:
            self._tell(self._positions.settled(number, place))

    def dropped(self, call: PendingCall) -> None:
        """Note a send that will get no answer: its message, if any, comes as an event."""
        if call.place:
            self.settled(call.number, call.place)

    def replied(self, call: PendingCall, reply: Reply, waited_for: bool) -> None:
        """Note the reply to a command."""
        request = call.request
        if isinstance(reply, Sent) or (isinstance(reply, ChunkTaken) and reply.message_id):
            self._posted(request, reply, waited_for)
        elif isinstance(request, Upload):
            self._uploads[cast(UploadOpened, reply).upload] = request
        elif isinstance(request, Files):
            self.files = request.mode
        elif isinstance(request, LeaveGroup):
            self._tell(self._positions.forget(self._named(request.group)))
        self.dropped(call)

    def _posted(self, request: Request[Any], reply: Sent | ChunkTaken, waited_for: bool) -> None:
        if not self._events:
            return
        conversation, id = reply.conversation or "", reply.message_id or ""
        if waited_for or reply.seq is None:
            self._tell(self._positions.own(conversation, reply.seq, id))
        else:
            text = getattr(request, "text", "")
            late = MessageArrived(
                *(id, conversation, reply.seq, self.user, reply.time or 0, text),
                *(reply.file, reply.state or "stored", getattr(request, "bot", None)),
            )
            self._tell(self._positions.late(late))

    def _named(self, address: ConversationAddress) -> str:
        """Return a conversation as the server names it, but for upper and lower case."""
        return str(address.without_local_realm(fold(self.realm)) if address.realm else address)

    def _posts(self, request: Request[Any]) -> tuple[ConversationAddress, Matches] | None:
        """Return where a command posts a message, and how to recognise that."""
        if isinstance(request, Chunk):
            upload = self._uploads.get(request.upload)
            if upload is None or request.offset + len(request.data) < upload.size:
                return None
            return upload.to, is_file(upload.size)
        spec = request.spec
        if not issubclass(spec.reply, Sent):
            return None
        to: ConversationAddress = getattr(request, spec.addresses[0])
        data: bytes | None = getattr(request, "data", None)
        return to, _is_text(cast(Any, request).text) if data is None else is_file(len(data))

    # Catching up

    async def follow(self, ask: Ask[Any]) -> None:
        """Keep the conversations in sync until the connection ends.

        Raises:
            ChatError: the server permanently refused a command that a session needs.
        """
        files = Files(self.files)
        await patiently(lambda: ask(files), SYNC_RETRY_SECONDS)
        if not self._events:
            self.begun.set()
            return
        if not self._positions.started:
            await self._begin(ask)
        self.begun.set()
        while True:
            while not (self._positions.incomplete and self._queue.roomy):
                self.news.clear()
                await self.news.wait()
            if not await self._sync(ask) and self._positions.incomplete:
                await asyncio.sleep(SYNC_RETRY_SECONDS)

    async def _begin(self, ask: Ask[Any]) -> None:
        """Begin at the present instead of reading the whole history."""
        standings: list[tuple[str, int]] = []

        async def asked(request: Request[R]) -> R:
            return await patiently(lambda: ask(request), SYNC_RETRY_SECONDS)

        async for chats in every_page(asked, ListPc()):
            standings += [(chat.conversation, chat.last_seq) for chat in chats.conversations]
            if len(standings) > MAX_POSITIONS:
                break
        async for groups in every_page(asked, ListGroup()):
            standings += [(group.group, group.last_seq) for group in groups.groups]
            if len(standings) > 2 * MAX_POSITIONS:
                break
        self._tell(self._positions.begin(standings))

    async def _sync(self, ask: Ask[Any]) -> bool:
        """Fetch one page of what was missed; False if it brought nothing."""
        have = cast("dict[ConversationAddress, int]", self._positions.have())
        missed = Sync(have, self._epoch)
        page = await patiently(lambda: ask(missed), SYNC_RETRY_SECONDS)
        if not page.recovered:
            self._history_changed(page.epoch)
            await self._begin(ask)
            return True
        told = self._positions.page(page.conversations, page.messages, page.more)
        self._tell(told)
        return bool(told)

    def _history_changed(self, epoch: str) -> None:
        self._epoch = epoch
        self._positions.clear()
        self.put(HistoryChanged(epoch))

    def _tell(self, told: Iterable[Told], size: int | None = None) -> None:
        for one in told:
            if isinstance(one, PositionPassed):
                self._queue.passed(one)
            else:
                self._queue.put(one, size or len(one.text) + 500)


def _is_text(text: str) -> Matches:
    return lambda message: message.file is None and message.text == text


def is_file(size: int) -> Matches:
    """Return a predicate for a message with a file of this size."""

    def matches(message: Message) -> bool:
        return message.file is not None and message.file.size == size

    return matches
