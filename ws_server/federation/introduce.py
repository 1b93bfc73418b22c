"""The opening of a link as the dialler does it; `handlers.links` is the other side."""

from __future__ import annotations

import asyncio
import binascii
from typing import TYPE_CHECKING, Any

import orjson

from shared.protocol.commands.links import LinkOffered, LinkOpened, OpenLink, ProveLink
from shared.protocol.errors import ChatError
from shared.protocol.json_dialect import format_request, parse_reply
from shared.protocol.kinds import LOCAL_NAME
from shared.protocol.spec import Reply, Request
from shared.protocol.values import BadValue
from ws_server.federation.handshake import VERSION, Hello, NotProven, Role, Transcript
from ws_server.federation.reach import Unreachable
from ws_server.federation.wire import Dialled

if TYPE_CHECKING:
    from ws_server.federation.peers import Peers

HANDSHAKE = 10.0
"""Seconds for everything up to the proof."""
MAX_FRAME = 8 * 1024
"""Bytes of one frame of the handshake."""


def encoded(content: bytes) -> str:
    """Return base64 as the handshake carries it."""
    return binascii.b2a_base64(content, newline=False).decode()


async def dial_realm(
    peers: Peers, host: str, port: int, tls: bool, expected: bytes | None
) -> tuple[Dialled, Transcript, str]:
    """Dial a realm and do the handshake; the caller owns the connection.

    Args:
        expected: The key it must have; None at the first contact.

    Raises:
        Unreachable: nobody there speaks this protocol, or it refused.
        NotProven: it is another realm than the one expected, or this one.
    """
    try:
        async with asyncio.timeout(HANDSHAKE):
            wire = await Dialled.open(host, port, tls, peers.public)
            try:
                transcript, state = await _introduce(peers, wire, expected)
            except BaseException:
                await wire.closed()
                raise
    except TimeoutError:
        raise Unreachable("no answer in time") from None
    return wire, transcript, state


async def _introduce(peers: Peers, wire: Dialled, expected: bytes | None) -> tuple[Transcript, str]:
    own = Hello(peers.realm.name, peers.public_key)
    offered = await _ask(
        wire,
        OpenLink(
            VERSION,
            own.realm,
            own.key,
            own.nonce,
            peers.port,
            "wss" if peers.tls else "ws",
            expected,
        ),
        LinkOffered,
    )
    try:
        theirs = Hello(
            LOCAL_NAME.from_json(offered.name),
            binascii.a2b_base64(offered.key),
            binascii.a2b_base64(offered.nonce),
        )
        signature = binascii.a2b_base64(offered.signature)
    except (BadValue, binascii.Error) as error:
        raise NotProven("the handshake is malformed") from error
    if theirs.key == own.key:
        raise NotProven("this is the realm itself")
    transcript = Transcript(own, theirs, expected, peers.port, peers.tls)
    transcript.check(signature, Role.LISTENER)
    proof = ProveLink(transcript.sign(peers.realm.key, Role.DIALLER))
    opened = await _ask(wire, proof, LinkOpened)
    return transcript, opened.state


async def _ask(wire: Dialled, request: Request[Any], kind: type[Reply]) -> Any:
    """Send a command of the handshake and return its reply."""
    wire.write(format_request(request))
    frame = await wire.read()
    if len(frame) > MAX_FRAME:
        raise Unreachable("too much said")
    try:
        return parse_reply(frame, kind)
    except ChatError as error:
        raise Unreachable(f"refused: {error.code}") from error
    except (ValueError, TypeError, orjson.JSONDecodeError) as error:
        raise Unreachable("no realm") from error
