"""The dialler's side of the handshake of a link; `handlers.links` is the listener's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from shared.background_tasks import BackgroundTasks
from shared.protocol.commands.links import (
    KEY,
    SIGNATURE,
    LinkOffered,
    LinkOpened,
    OpenLink,
    ProveLink,
)
from shared.protocol.errors import ChatError
from shared.protocol.json_dialect import format_request, parse_reply
from shared.protocol.kinds import LOCAL_NAME
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from shared.protocol.values import BadValue, in_words
from ws_server.federation.handshake.dial_policy import Unreachable
from ws_server.federation.handshake.dialled_connection import Dialled
from ws_server.federation.handshake.transcript import VERSION, Hello, NotProven, Role, Transcript
from ws_server.identity import Identity
from ws_server.net.session import MAX_HANDSHAKE_FRAME

HANDSHAKE = 10.0
"""Seconds from `link` to the proof that the listener allows."""
DIAL = 9.0
"""Seconds for dialling and the handshake, name resolution included."""
MAX_DIALS = 32
"""Known realms that are dialled at once; the others wait."""
MAX_ADDS = 8
"""Realms that are dialled at once for `addrealm`."""


class Declined(Unreachable):
    """The realm has proven its key, then refused the link."""


Judge = Callable[[bytes], None]
"""Checks the listener's proven key; an exception ends the dial before our proof is sent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address at which a realm is dialled."""

    host: str
    """A result of `dial_policy.read_host`."""
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Proven:
    """A connection on which both sides have authenticated."""

    wire: Dialled
    transcript: Transcript
    state: str
    """This realm's state at the peer: active, or pending until the peer's admin approves it."""
    begun: float
    """When dialling began, by the loop's clock."""


class Dialler:
    """Dials other realms and authenticates this one to them."""

    def __init__(self, identity: Identity, tasks: BackgroundTasks, public: bool) -> None:
        """Start without a port of this realm; `listens` sets it.

        Args:
            tasks: Runs the closing of connections.
            public: Private addresses are not dialled.
        """
        self._identity = identity
        self._tasks = tasks
        self._public = public
        self._port = 0
        self._tls = False
        self.dials = asyncio.Semaphore(MAX_DIALS)
        self.adds = asyncio.Semaphore(MAX_ADDS)

    def listens(self, port: int, tls: bool) -> None:
        """Send this port in all further handshakes."""
        self._port, self._tls = port, tls

    async def dial(
        self,
        endpoint: Endpoint,
        *,
        expected: bytes | None = None,
        judge: Judge | None = None,
        turns: asyncio.Semaphore | None = None,
        public: bool | None = None,
        limit: float = DIAL,
    ) -> Proven:
        """Dial a realm and perform the handshake; the caller owns the connection.

        Args:
            expected: The key that the listener must have; None at the first contact.
            judge: Checks the listener's proven key.
            turns: Bounds concurrent dials; the wait for it counts towards `limit`.
            public: Private addresses are not dialled; None means the operator's setting.
            limit: Seconds for dialling and the handshake.

        Raises:
            Unreachable: no answer in time, or the server does not speak this protocol.
            Declined: the listener authenticated, then refused.
            OtherKey: the listener has proven a key other than `expected`.
            NotProven: the listener did not authenticate, or is this realm.
        """
        begun = asyncio.get_running_loop().time()
        shut = self._public if public is None else public
        try:
            async with asyncio.timeout(limit), turns or nullcontext():
                wire = await Dialled.open(endpoint.host, endpoint.port, endpoint.tls, shut)
                try:
                    transcript = await self._ask_who(wire, expected)
                    if judge is not None:
                        judge(transcript.listener.key)
                    proof = ProveLink(transcript.sign(self._identity.key, Role.DIALLER))
                    try:
                        opened: LinkOpened = await _ask(wire, proof, LinkOpened)
                    except ChatError as refusal:
                        raise Declined(_said(refusal)) from None
                except BaseException:
                    self._tasks.start(wire.closed())
                    raise
        except TimeoutError:
            raise Unreachable("no answer in time") from None
        return Proven(wire, transcript, opened.state, begun)

    async def _ask_who(self, wire: Dialled, expected: bytes | None) -> Transcript:
        """Send `link`, and return the transcript with the listener's verified signature."""
        own = Hello(self._identity.name, self._identity.public_key)
        scheme = "wss" if self._tls else "ws"
        hello = OpenLink(VERSION, own.realm, own.key, own.nonce, self._port, scheme, expected)
        try:
            offered: LinkOffered = await _ask(wire, hello, LinkOffered)
        except ChatError as refusal:
            raise Unreachable(_said(refusal)) from None
        if offered.version != VERSION:
            raise Unreachable("another protocol version")
        try:
            theirs = Hello(
                LOCAL_NAME.from_json(offered.name),
                KEY.from_json(offered.key),
                KEY.from_json(offered.nonce),
            )
            signature = SIGNATURE.from_json(offered.signature)
        except BadValue as error:
            raise NotProven("the handshake is malformed") from error
        transcript = Transcript(own, theirs, expected, self._port, self._tls)
        transcript.check(signature, Role.LISTENER)
        return transcript


def _said(refusal: ChatError) -> str:
    """Return the peer's reason as one line without control characters."""
    return "refused there: " + in_words(" ".join(str(refusal.message)[:200].split()))


async def _ask(wire: Dialled, request: Request[Any], kind: type[Reply]) -> Any:
    """Send a command of the handshake and return its reply.

    Raises:
        ChatError: the peer refused; the message may not be a string.
        Unreachable: the peer's reply is too long or malformed.
    """
    wire.write(format_request(request))
    frame = await wire.read()
    if len(frame) > MAX_HANDSHAKE_FRAME:
        raise Unreachable("the reply is too long")
    try:
        return parse_reply(frame, kind)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreachable("not a realm") from error
