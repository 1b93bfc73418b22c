"""Whether a link works, by a row each way that the other side has to store before it says so."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import KEY, Number
from ws_server.federation.peer import Peer
from ws_server.store.drafts import Chain
from ws_server.store.entries import Mutation
from ws_server.store.federation import outbox
from ws_server.store.journal import Journal

WAIT = 8.0
"""Seconds for a row to be stored by the other side."""
_TIME = Number(0, 2**53)


@dataclass(frozen=True, slots=True)
class Trip:
    """How a row fared each way."""

    there: float
    """Seconds from here until the other realm said that it has it for good."""
    back: float
    """Seconds from asking for a row until it was on disk here."""
    ahead: float
    """Seconds by which the other realm's clock is ahead of this one's, about."""


async def probe(journal: Journal, peer: Peer) -> Trip:
    """Have the other realm store a row of this one, and write one for this one to store.

    Raises:
        ChatError: REALM_UNREACHABLE, no link or no answer in time; or what was refused.
    """
    begun = time.monotonic()
    token = secrets.token_hex(8)
    written = peer.expect_probe(token)
    await write(journal, peer, token)
    await _within(written)
    there = time.monotonic()
    token = secrets.token_hex(8)
    written = peer.expect_probe(token)
    answer = await peer.ask("probe", token=token)
    asked = time.monotonic() - there
    ahead = _TIME.from_json(answer.get("time")) / 1000 - (time.time() - asked / 2)
    await _within(written)
    return Trip(there - begun, time.monotonic() - there, ahead)


async def write(journal: Journal, peer: Peer, token: str) -> None:
    """Put a row into the outbox for a realm.

    Raises:
        ChatError: UNAVAILABLE.
    """

    def say(tx: Connection, now: int) -> bool:
        return outbox.enqueue(tx, peer.known.id, outbox.PROBE, None, {"token": token}, now)

    if not await journal.write(say):
        raise ChatError(ErrorCode.UNAVAILABLE, "Too much waits for this realm")
    peer.notify_outbox()


def taken(peer: Peer, row: Mapping[str, Any], chain: Chain) -> Mutation:
    """Return the entry of a row that came: it changes nothing, and is on disk like any other.

    Raises:
        BadValue: it is malformed.
    """
    token = KEY.from_json(row.get("token"))

    def note(tx: Connection, now: int) -> None:
        chain.check()

    def noted(entry: Mutation) -> None:
        if entry.error is None:
            peer.probed(token, None)

    entry = Mutation(note, chain)
    entry.done = noted
    return entry


async def _within(written: asyncio.Future[None]) -> None:
    try:
        async with asyncio.timeout(WAIT):
            await written
    except TimeoutError:
        raise ChatError(
            ErrorCode.REALM_UNREACHABLE, f"what was written was not stored within {WAIT:.0f} s"
        ) from None
