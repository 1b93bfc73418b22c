"""One connection's state above the socket: its user, its dialect, and its commands in progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.addresses import network
from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call, Dialect
from shared.protocol.commands.meta import SetFormat
from shared.protocol.errors import ChatError
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from ws_server.listing import Listing
from ws_server.pipeline import DRAINING, ENDED, LEAVING, Pipeline
from ws_server.store.contents.files import StoredFile

MAX_HELD = 4 * 2**20
"""Bytes of events held until the reply to a sign-in; more closes the connection."""
MAX_HANDSHAKE_FRAME = 8 * 1024
"""Bytes of one frame in the handshake of a link."""
BROKEN = 4400
"""Close code for a link whose peer violated the protocol; it is dialled again."""


class Outlet(Protocol):
    """The destination of a session's frames: a WebSocket, or a list in a test."""

    def write(self, payload: bytes) -> None:
        """Queue one text frame; never blocks."""

    def close_with(self, code: int, reason: str) -> None:
        """Start to close, after the queued frames."""

    def admit(self, known: bool) -> None:
        """Count the peer as known, or as a stranger again."""

    def pause_reading(self) -> None:
        """Stop reading from the peer until `resume_reading`."""

    def resume_reading(self) -> None:
        """Read from the peer again."""

    @property
    def congested(self) -> bool:
        """Whether written frames wait because the peer reads slowly."""

    async def room(self) -> None:
        """Wait until most written frames are sent, or the connection is lost."""


class SessionOutlet(Outlet, Protocol):
    """The outlet of a session, which the gate ends."""

    def finish(self) -> None:
        """End the session: stop writing, and complete a pending close."""


class FrameTaker(Protocol):
    """Receives the frames of a connection that is a link to another realm."""

    def receive(self, frame: bytes) -> None:
        """Process one text frame."""

    def lost(self) -> None:
        """End the link, because its connection has ended."""


class Lane(Protocol):
    """Sends files to a session, between its other frames: `file_lane.FileLane`."""

    def add(self, file: StoredFile, offset: int = 0) -> bool:
        """Queue a file to send from an offset; return False if too many files wait."""

    def close(self) -> None:
        """Stop sending."""


@dataclass(frozen=True, slots=True)
class Account:
    """The signed-in user, and the hash of their token."""

    id: int
    name: str
    token: bytes


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """The origin of a connection."""

    address: str
    """The IP address, behind a trusted proxy the one that the proxy forwards."""
    network: str
    """The network that limits count the connection under."""
    is_forwarded: bool
    """Whether the request has headers of a proxy, trusted or not."""


@dataclass(slots=True)
class Options:
    """The options of a client: its choices, or the defaults."""

    dialect: Dialect = Dialect.TEXT
    """The dialect of events: that of the last command, unless pinned."""
    is_pinned: bool = False
    """Whether `dialect` is also that of all replies, whatever the dialect of the command."""
    files_pushed: bool | None = None

    @property
    def takes_files(self) -> bool:
        """Whether the content of files is pushed; by default, in the JSON dialect only."""
        if self.files_pushed is None:
            return self.dialect is Dialect.JSON
        return self.files_pushed


@dataclass(frozen=True, slots=True)
class Presented:
    """The codes that a stranger has presented and that were valid; `register` uses them."""

    code: str | None = None
    """The code that allows the realm's first admin to register."""
    invitation: bytes | None = None
    """The hash of an invitation."""


NOTHING_PRESENTED = Presented()


@dataclass(slots=True)
class LinkState:
    """The handshake and then the link of a dialling realm; docs/federation.md has the steps."""

    dialled_at: float
    """By the loop's clock."""
    offered: Any = None
    """Handshake data claimed by the dialling realm; not verified yet."""
    accept: Callable[[], FrameTaker | None] | None = None
    """Creates the link of an authenticated realm; called after the reply is sent."""
    link: FrameTaker | None = None
    """Receives all frames, once the realm has authenticated."""


@dataclass(slots=True)
class PartialAnswers:
    """Answers that the client gets in parts, while it is signed in."""

    lists: dict[type[Request[Any]], Listing] = field(default_factory=dict)
    """Lists with pages left, by the command that reads them."""
    lane: Lane | None = None
    """Sends files in pieces; created for the first one."""


@dataclass(slots=True)
class HeldEvents:
    """Events that are held until a reply is sent."""

    frames: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes of all frames."""


class Session:
    """One connection, above its socket."""

    __slots__ = (
        "_errors",
        "account",
        "client",
        "held",
        "link_state",
        "options",
        "outlet",
        "partial_answers",
        "pipeline",
        "presented",
    )

    def __init__(self, outlet: SessionOutlet, address: str, *, is_forwarded: bool = False) -> None:
        self.outlet = outlet
        self.client = ClientAddress(address, network(address), is_forwarded)
        self.options = Options()
        self.pipeline = Pipeline()
        """Its commands in progress, and its stage of life."""
        self.account: Account | None = None
        self.presented = NOTHING_PRESENTED
        self.held: HeldEvents | None = None
        """Events held until the reply to a sign-in; None when events are not held."""
        self.partial_answers: PartialAnswers | None = None
        self.link_state: LinkState | None = None
        """Set when the peer sends `link`; the connection is a realm's from then on."""
        self._errors: tuple[float, int] | None = None
        """The start of the window in which errors are counted, and their number."""

    @property
    def has_ended(self) -> bool:
        """Whether its commands are no longer executed or answered."""
        return self.pipeline.life is ENDED

    @property
    def leaving(self) -> bool:
        """Whether the peer has gone or is closing: it is sent replies only, no events."""
        return self.pipeline.life in (LEAVING, DRAINING)

    @property
    def known(self) -> bool:
        """Whether a user has signed in or another realm has authenticated."""
        if self.link_state is not None:
            return self.link_state.link is not None
        return self.account is not None

    @property
    def asker(self) -> int | str:
        """The key that limits count its commands under: the user, or the network of a stranger."""
        return self.account.id if self.account else self.client.network

    def push(self, payload: bytes) -> None:
        """Send an event, or hold it until the reply to a sign-in is sent."""
        held = self.held
        if held is None:
            self.outlet.write(payload)
        elif held.size < MAX_HELD:
            held.frames.append(payload)
            held.size += len(payload)
        else:
            self.outlet.close_with(4000, "too slow; resume and sync")

    def hold(self) -> None:
        """Hold events until `release`; drop those that were held for another user."""
        self.held = HeldEvents()

    def release(self) -> None:
        """Send the held events."""
        held, self.held = self.held, None
        if held is not None:
            for payload in held.frames:
                self.outlet.write(payload)

    def ensure_partial_answers(self) -> PartialAnswers:
        """Return its partial answers, created on first use."""
        if self.partial_answers is None:
            self.partial_answers = PartialAnswers()
        return self.partial_answers

    def drop_partial_answers(self) -> None:
        """Stop sending files, and forget which pages of lists are left."""
        if self.partial_answers is not None:
            if self.partial_answers.lane is not None:
                self.partial_answers.lane.close()
            self.partial_answers = None

    def reply(self, call: Call, reply: Reply) -> None:
        """Answer a command that succeeded."""
        if self._dialect_for(call) is Dialect.JSON:
            payload = json_dialect.format_reply(reply, call.command or "", call.label)
        else:
            payload = text_dialect.format_reply(reply).encode()
        self.outlet.write(payload)

    def refuse(self, call: Call, error: ChatError) -> None:
        """Answer a command that was refused."""
        if self._dialect_for(call) is Dialect.JSON:
            payload = json_dialect.format_error(error, call.command, call.label)
        else:
            payload = text_dialect.format_error(error).encode()
        self.outlet.write(payload)

    def _dialect_for(self, call: Call) -> Dialect:
        if isinstance(call.request, SetFormat) and call.dialect is Dialect.JSON:
            return Dialect.JSON  # only JSON can return the request's label
        options = self.options
        return options.dialect if options.is_pinned else call.dialect

    def errors_within(self, window: float) -> int:
        """Count one more error and return how many there were in this window of seconds."""
        now = time.monotonic()
        began, count = self._errors or (now, 0)
        if now - began > window:
            began, count = now, 0
        self._errors = (began, count + 1)
        return count + 1
