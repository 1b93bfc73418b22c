"""One connection's state above the socket: who it acts for and how it wants to be answered."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call, Dialect
from shared.protocol.commands.meta import SetFormat
from shared.protocol.errors import ChatError
from shared.protocol.spec import Reply, Request
from ws_server.listing import Listing
from ws_server.net.file_lane import FileLane

if TYPE_CHECKING:
    from ws_server.federation.handshake import Transcript

MAX_HELD = 4 * 2**20
"""Bytes of events that wait for the reply to a sign-in; more closes the connection."""


class Outlet(Protocol):
    """Where a session's frames go: a WebSocket, or a list in a test."""

    def write(self, payload: bytes) -> None:
        """Queue one text frame; never waits."""

    def close_with(self, code: int, reason: str) -> None:
        """Begin closing; what was queued goes out before."""

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


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, and with which token (its hash)."""

    id: int
    name: str
    token: bytes


class Session:
    """One connection. Only the gate and the hub change it."""

    __slots__ = (
        "abroad",
        "account",
        "address",
        "busy",
        "dialect",
        "dialled",
        "error_count",
        "error_since",
        "files_pushed",
        "heard_all",
        "held",
        "held_bytes",
        "lane",
        "leaving",
        "link",
        "linking",
        "lists",
        "offered",
        "open",
        "outlet",
        "penalised",
        "pinned",
        "queue",
        "queued_bytes",
        "reading_paused",
        "unanswered",
    )

    def __init__(self, outlet: SessionOutlet, address: str) -> None:
        self.outlet = outlet
        self.address = address
        self.account: Account | None = None
        self.dialect = Dialect.TEXT
        self.pinned = False
        self.files_pushed: bool | None = None
        self.open = True
        """Its commands are carried out and answered."""
        self.leaving = False
        """The peer has gone or is going: it is told of nothing but what it asked."""
        self.heard_all = False
        """Nothing more comes from it."""
        self.abroad = 0
        """Commands that wait for another realm."""
        self.queue: deque[Call] | None = None
        self.queued_bytes = 0
        self.reading_paused = False
        self.penalised = False
        self.unanswered = 0
        """Journaled commands whose commit has not come back."""
        self.busy = False
        """A command that is no journaled one runs."""
        self.held: list[bytes] | None = None
        """Events that wait for the reply to a sign-in; None when nothing is held."""
        self.held_bytes = 0
        self.lists: dict[type[Request[Any]], Listing] | None = None
        """Lists that were not read to their end, by the command that reads them."""
        self.error_count = 0
        self.error_since: float | None = None
        self.lane: FileLane | None = None
        self.offered: Transcript | None = None
        """What a realm that dials has said of itself, and not proven yet."""
        self.dialled: float | None = None
        """When it said `link`, by the loop's clock; then it is no person's connection any more."""
        self.linking: tuple[int, Transcript] | None = None
        """The id of the realm that has proven itself; after the reply this is its link."""
        self.link: FrameTaker | None = None

    @property
    def known(self) -> bool:
        """Whether somebody has signed in, or another realm has proven itself."""
        return self.account is not None or self.link is not None

    @property
    def takes_files(self) -> bool:
        """Whether the content of files is pushed; by default to programs, not to people."""
        if self.files_pushed is None:
            return self.dialect is Dialect.JSON
        return self.files_pushed

    def push(self, payload: bytes) -> None:
        """Send an event; it waits if the reply to a sign-in has to go first."""
        if self.held is None:
            self.outlet.write(payload)
        elif self.held_bytes < MAX_HELD:
            self.held.append(payload)
            self.held_bytes += len(payload)
        else:
            self.outlet.close_with(4000, "too slow; resume and sync")

    def hold(self) -> None:
        """Let events wait until `release`; what was held for somebody else is dropped."""
        self.held = []
        self.held_bytes = 0

    def release(self) -> None:
        """Send what was held."""
        held, self.held = self.held, None
        for payload in held or ():
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
        if self.error_since is None or now - self.error_since > window:
            self.error_since = now
            self.error_count = 0
        self.error_count += 1
        return self.error_count
