"""The opening of a link as the dialler does it; `handlers.links` is the other side."""

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
"""Seconds from `link` to the proof, as the listener grants them."""
DIAL = 9.0
"""Seconds for everything up to the proof, names included."""
MAX_DIALS = 32
"""Known realms that are dialled at once; the others wait."""
MAX_ADDS = 8
"""Realms that people add at once."""


class Declined(Unreachable):
    """The realm there has proven its key, and answered no."""


Judge = Callable[[bytes], None]
"""Looks at the key that the listener has proven, and raises to leave before it learns ours."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a realm is dialled."""

    host: str
    """As `dial_policy.read_host` returns it."""
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Proven:
    """A connection on which both sides have proven who they are."""

    wire: Dialled
    transcript: Transcript
    state: str
    """What the other side lets this one do: active, or pending until its admin approves."""
    begun: float
    """When it was dialled, by the loop's clock."""


class Dialler:
    """Dials other realms and proves to them who this one is."""

    def __init__(self, identity: Identity, tasks: BackgroundTasks, public: bool) -> None:
        """Know no port of this realm yet.

        Args:
            tasks: Where connections are closed.
            public: No private address is dialled.
        """
        self._identity = identity
        self._tasks = tasks
        self._public = public
        self._port = 0
        self._tls = False
        self.dials = asyncio.Semaphore(MAX_DIALS)
        self.adds = asyncio.Semaphore(MAX_ADDS)

    def listens(self, port: int, tls: bool) -> None:
        """Tell other realms from now on where this one listens."""
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
        """Dial a realm and do the handshake; the caller owns the connection.

        Args:
            expected: The key it must have; None at the first contact.
            turns: How many may dial at once, if the wait for that is part of the time.
            public: No private address is dialled; as the operator wants it if None.
            limit: Seconds for everything.

        Raises:
            Unreachable: nobody there speaks this protocol.
            Declined: a realm does, and refused.
            OtherKey: it has proven another key than the one expected.
            NotProven: it has proven nothing, or is this realm.
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
        """Say `link`, and return the transcript that the listener has signed."""
        own = Hello(self._identity.name, self._identity.public_key)
        scheme = "wss" if self._tls else "ws"
        hello = OpenLink(VERSION, own.realm, own.key, own.nonce, self._port, scheme, expected)
        try:
            offered: LinkOffered = await _ask(wire, hello, LinkOffered)
        except ChatError as refusal:
            raise Unreachable(_said(refusal)) from None
        if offered.version != VERSION:
            raise Unreachable("another version")
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
    """Return why the other side refused, in one line that steers no terminal."""
    return "refused there: " + in_words(" ".join(str(refusal.message)[:200].split()))


async def _ask(wire: Dialled, request: Request[Any], kind: type[Reply]) -> Any:
    """Send a command of the handshake and return its reply.

    Raises:
        ChatError: what the other side refused, whose text may be no text.
        Unreachable: it answers like no realm.
    """
    wire.write(format_request(request))
    frame = await wire.read()
    if len(frame) > MAX_HANDSHAKE_FRAME:
        raise Unreachable("too much said")
    try:
        return parse_reply(frame, kind)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreachable("no realm") from error
