"""What is done every hour: what was abandoned is forgotten."""

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
"""Seconds between two sweeps of what was abandoned."""
JUMP = 60.0
"""Seconds by which the wall clock may be corrected in that time."""


async def sweep(realm: Realm, age: float, jumped: bool = False) -> None:
    """Forget abandoned uploads, and contents that no message ever came to carry.

    Args:
        age: Seconds for which nobody may have touched contents that are removed.
        jumped: The wall clock has jumped, so that nobody knows how old anything is.
    """

    def forget(tx: Connection, now: int) -> set[str]:
        files.forget_abandoned(tx, now, jumped)
        return files.open_uploads(tx) | content_fetches.open_parts(tx)

    parts = await realm.journal.write(forget)
    if jumped:
        return  # the next time
    realm.stray_bytes.clear()

    def remove(tx: Connection) -> int:
        return realm.blobs.sweep(parts, lambda hashes: files.unreferenced(tx, hashes), age)

    removed = await realm.database.read(remove)
    if removed:
        log.info("removed contents without a message", extra={"count": removed})


async def keep_house(realm: Realm) -> None:
    """Sweep from time to time."""
    while True:
        wall, steady = time.time(), time.monotonic()
        await asyncio.sleep(HOUSEKEEPING)
        # A machine that slept counts as well: its monotonic clock stood still.
        jump = (time.time() - wall) - (time.monotonic() - steady)
        try:
            jumped = abs(jump) > JUMP
            await sweep(realm, age=HOUSEKEEPING, jumped=jumped)
            if not jumped:
                await session_expiry.end_unused(realm)
                await realm.journal.write(registering.forget_expired)
        except Exception:
            log.exception("housekeeping failed; it is tried again in an hour")
