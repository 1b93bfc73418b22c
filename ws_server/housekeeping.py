"""The hourly sweep: removes abandoned uploads and unused contents."""

from __future__ import annotations

import asyncio
import logging
import time

from sqlalchemy import Connection

from ws_server import session_expiry
from ws_server.realm import Realm
from ws_server.store.accounts import registering
from ws_server.store.contents import content_fetches, files

log = logging.getLogger(__name__)

HOUSEKEEPING = 3600.0
"""Seconds between two sweeps."""
JUMP = 60.0
"""Seconds by which the wall clock may be corrected between two sweeps."""


async def sweep(realm: Realm, age: float, jumped: bool = False) -> None:
    """Remove abandoned uploads, and contents that no message refers to.

    Args:
        age: Seconds since the last access of contents before they are removed.
        jumped: The wall clock has jumped, so ages are unreliable.
    """

    def forget(tx: Connection, now: int) -> set[str]:
        files.forget_abandoned(tx, now, jumped)
        return files.open_uploads(tx) | content_fetches.open_parts(tx)

    parts = await realm.journal.write(forget)
    if jumped:
        return  # next time
    realm.stray_bytes.clear()

    def remove(tx: Connection) -> int:
        return realm.blobs.sweep(parts, lambda hashes: files.unreferenced(tx, hashes), age)

    removed = await realm.database.read(remove)
    if removed:
        log.info("removed contents without a message", extra={"count": removed})


async def keep_house(realm: Realm) -> None:
    """Sweep every hour."""
    while True:
        wall, steady = time.time(), time.monotonic()
        await asyncio.sleep(HOUSEKEEPING)
        # Suspension is detected too: the monotonic clock stops during it.
        jump = (time.time() - wall) - (time.monotonic() - steady)
        try:
            jumped = abs(jump) > JUMP
            await sweep(realm, age=HOUSEKEEPING, jumped=jumped)
            if not jumped:
                await session_expiry.end_unused(realm)
                await realm.journal.write(registering.forget_expired)
        except Exception:
            log.exception("housekeeping failed; it is tried again in an hour")
