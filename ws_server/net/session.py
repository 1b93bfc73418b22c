"""One connection's state above the socket: who it acts for and how it wants to be answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

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

if TYPE_CHECKING:
    from ws_server.federation.handshake.transcript import Transcript

MAX_HELD = 4 * 2**20
"""Bytes of events that wait for the reply to a sign-in; more closes the connection."""
MAX_HANDSHAKE_FRAME = 8 * 1024
"""Bytes of one frame of the handshake of a link."""
BROKEN = 4400
"""Closes a link whose other side broke the protocol; it is dialled anew like any other."""


class Outlet(Protocol):
    """Where a session's frames go: a WebSocket, or a list in a test."""

    def write(self, payload: bytes) -> None:
        """Queue one text frame; never waits."""

    def close_with(self, code: int, reason: str) -> None:
        """Begin closing; what was queued goes out before."""

    def admit(self, known: bool) -> None:
        """Count the peer among those who are known, or among strangers again."""

    def pause_reading(self) -> None:
        """Take no more from the peer until `resume_reading`."""

    def resume_reading(self) -> None:
        """Take from the peer again."""

    @property
    def congested(self) -> bool:
        """Whether the peer is behind in taking what was written."""

    async def room(self) -> None:
        """Wait until the peer has taken most of what was written, or is gone."""


class SessionOutlet(Outlet, Protocol):
    """The outlet of a session, which the gate ends."""

    def finish(self) -> None:
        """The session has ended: nothing more is written, and a peer that is going may go."""


class FrameTaker(Protocol):
    """Takes the frames of a connection that is no person's: a link to another realm."""

    def receive(self, frame: bytes) -> None:
        """Take one text frame."""

    def lost(self) -> None:
        """The connection is gone."""


class Lane(Protocol):
    """Sends files beside what else a session is sent: `file_lane.FileLane`."""

    def add(self, file: StoredFile, offset: int = 0) -> bool:
        """Send a file from an offset, behind those already queued; False if too many wait."""

    def close(self) -> None:
        """Stop sending."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, and with which token (its hash)."""

    id: int
    name: str
    token: bytes


@dataclass(slots=True)
class LinkHandshake:
    """How far a realm that dials has come; docs/federation.md describes the steps."""

    dialled_at: float
    """By the loop's clock."""
    offered: Transcript | None = None
    """What the dialling realm claims; not verified yet."""
    accept: Callable[[], FrameTaker | None] | None = None
    """Makes the link of a realm that has proven itself; called after the reply."""


@dataclass(slots=True)
class HeldEvents:
    """Events that wait until a reply has gone."""

    frames: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes of all frames."""


class Session:
    """One connection, above its socket."""

    __slots__ = (
        "_errors",
        "account",
        "address",
        "code",
        "dialect",
        "files_pushed",
        "forwarded",
        "handshake",
        "held",
        "invitation",
        "lane",
        "link",
        "lists",
        "network",
        "outlet",
        "pinned",
        "pipeline",
    )

    def __init__(self, outlet: SessionOutlet, address: str) -> None:
        self.outlet = outlet
        self.address = address
        self.network = network(address)
        """Whom limits count for it."""
        self.forwarded = False
        """Something between says that it speaks for somebody else."""
        self.pipeline = Pipeline()
        """Its commands under way, and how long they are carried out."""
        self.account: Account | None = None
        self.code: str | None = None
        """The right code for the realm's first admin, who may now be registered."""
        self.invitation: bytes | None = None
        """The hash of an invitation that was good when it was shown."""
        self.dialect = Dialect.TEXT
        self.pinned = False
        self.files_pushed: bool | None = None
        self.held: HeldEvents | None = None
        """Events that wait for the reply to a sign-in; None when nothing is held."""
        self.lists: dict[type[Request[Any]], Listing] | None = None
        """Lists that were not read to their end, by the command that reads them."""
        self.lane: Lane | None = None
        self.handshake: LinkHandshake | None = None
        """Since the peer said `link`; then it is no person's connection any more."""
        self.link: FrameTaker | None = None
        self._errors: tuple[float, int] | None = None
        """When the window began in which errors are counted, and how many there were."""

    @property
    def open(self) -> bool:
        """Whether its commands are carried out and answered."""
        return self.pipeline.life is not ENDED

    @property
    def leaving(self) -> bool:
        """Whether the peer has gone or is going: it is sent nothing but replies."""
        return self.pipeline.life in (LEAVING, DRAINING)

    @property
    def known(self) -> bool:
        """Whether somebody has signed in, or another realm has proven itself."""
        return self.account is not None or self.link is not None

    @property
    def asker(self) -> int | str:
        """Whose commands are counted: the user, or the network of somebody not signed in."""
        return self.account.id if self.account else self.network

    @property
    def takes_files(self) -> bool:
        """Whether the content of files is pushed; by default to programs, not to people."""
        if self.files_pushed is None:
            return self.dialect is Dialect.JSON
        return self.files_pushed

    def push(self, payload: bytes) -> None:
        """Send an event; it waits if the reply to a sign-in has to go first."""
        held = self.held
        if held is None:
            self.outlet.write(payload)
        elif held.size < MAX_HELD:
            held.frames.append(payload)
            held.size += len(payload)
        else:
            self.outlet.close_with(4000, "too slow; resume and sync")

    def hold(self) -> None:
        """Let events wait until `release`; what was held for somebody else is dropped."""
        self.held = HeldEvents()

    def release(self) -> None:
        """Send what was held."""
        held, self.held = self.held, None
        if held is not None:
            for payload in held.frames:
                self.outlet.write(payload)

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
            return Dialect.JSON  # its label has to come back
        return self.dialect if self.pinned else call.dialect

    def errors_within(self, window: float) -> int:
        """Count one more error and return how many there were in this window of seconds."""
        now = time.monotonic()
        began, count = self._errors or (now, 0)
        if now - began > window:
            began, count = now, 0
        self._errors = (began, count + 1)
        return count + 1
