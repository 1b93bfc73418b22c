"""Probe of a link: one row in each direction, confirmed once it is durable."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.federation.frames.questions import ProbeQuestion
from ws_server.federation.frames.rows import ProbeRow
from ws_server.federation.peer import Peer
from ws_server.store.drafts import Chain
from ws_server.store.entries import Mutation
from ws_server.store.federation import outbox
from ws_server.store.journal import Journal

WAIT = 8.0
"""Seconds for a row to be stored by its receiver."""


@dataclass(frozen=True, slots=True)
class Trip:
    """The timings of a probe."""

    there: float
    """Seconds from writing a row here until the peer confirmed it."""
    back: float
    """Seconds from requesting a row until it was durable here."""
    ahead: float
    """Seconds by which the peer's clock is ahead of this one's, within the round-trip time."""


async def probe(journal: Journal, peer: Peer) -> Trip:
    """Send a row to the peer and request one from it.

    Raises:
        ChatError: REALM_UNREACHABLE, no link or no answer within WAIT seconds; UNAVAILABLE, a full
            outbox or a failed store; or the peer's refusal.
        BadValue: the peer's answer is malformed.
    """
    begun = time.monotonic()
    token = secrets.token_hex(8)
    written = peer.expect_probe(token)
    await write(journal, peer, token)
    await _within(written)
    there = time.monotonic()
    token = secrets.token_hex(8)
    written = peer.expect_probe(token)
    answer = await peer.ask(ProbeQuestion(token))
    asked = time.monotonic() - there
    ahead = answer.time / 1000 - (time.time() - asked / 2)
    await _within(written)
    return Trip(there - begun, time.monotonic() - there, ahead)


async def write(journal: Journal, peer: Peer, token: str) -> None:
    """Enqueue a probe row in the outbox for a peer.

    Raises:
        ChatError: UNAVAILABLE, the outbox is full or the store failed.
    """

    def enqueue(tx: Connection, now: int) -> bool:
        return outbox.enqueue(tx, peer.known.id, outbox.PROBE, None, {"token": token}, now)

    if not await journal.write(enqueue):
        raise ChatError(ErrorCode.UNAVAILABLE, "The outbox for this realm is full")
    peer.notify_outbox()


def entry(peer: Peer, row: ProbeRow, chain: Chain) -> Mutation:
    """Return the journal entry for a received probe row; it changes nothing but is confirmed."""

    def note(tx: Connection, now: int) -> None:
        chain.check()

    def noted(written: Mutation) -> None:
        if written.error is None:
            peer.probed(row.token, None)

    probe_entry = Mutation(note, chain)
    probe_entry.done = noted
    return probe_entry


async def _within(written: asyncio.Future[None]) -> None:
    try:
        async with asyncio.timeout(WAIT):
            await written
    except TimeoutError:
        raise ChatError(
            ErrorCode.REALM_UNREACHABLE, f"the probe was not stored within {WAIT:.0f} s"
        ) from None
