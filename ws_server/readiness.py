"""Readiness: whether the realm accepts writes now, proven by one write shared by all requests."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryFile

from sqlalchemy import Connection, update

from shared.protocol.errors import ChatError
from shared.token_buckets import Allowance
from ws_server.realm import Realm
from ws_server.store.schema import meta

PROOFS_PER_SECOND, PROOFS_AT_ONCE = 0.5, 10.0
"""Rate of the proofs by a write; above it, requests get the previous answer."""
LIMIT = 5.0
"""Seconds that the proof may take."""
PROOF = 256 << 10
"""Bytes that must fit on the disk, in a file that is removed at once. SQLite reuses the space of
its log, so a commit may succeed on a full disk although the next message would not."""


class Readiness:
    """The answer of `/readyz`.

    Args:
        folders: The folders that the realm writes to.
    """

    def __init__(self, realm: Realm, folders: list[Path]) -> None:
        self._realm = realm
        self._folders = folders
        self._said = ""
        self._proofs = Allowance(PROOFS_PER_SECOND, PROOFS_AT_ONCE, time.monotonic())
        self._failed = 0
        self._looking: asyncio.Task[str] | None = None

    async def why_not(self) -> str:
        """Return why writes fail, in a few words; empty if they succeed."""
        if self._looking is None:
            now = time.monotonic()
            failed = self._realm.journal.failed_commits
            if self._proofs.refill(now) < 1 and failed == self._failed:
                return self._said
            self._proofs.spend(1, now)
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> str:
        try:
            self._said = await self._tried()
        finally:
            self._looking = None
            # The result of a failed proof is reused for a while, too.
            self._failed = self._realm.journal.failed_commits
        return self._said

    async def _tried(self) -> str:
        def probe(tx: Connection, now: int) -> None:
            tx.execute(update(meta).where(meta.c.key == "epoch").values(key="epoch"))

        try:
            async with asyncio.timeout(LIMIT):
                for folder in self._folders:
                    await asyncio.to_thread(prove, folder)
                await self._realm.journal.write(probe)
        except TimeoutError:
            return f"a write takes more than {LIMIT:.0f} s"
        except OSError as error:
            return f"the disk refuses a write: {error.strerror}"
        except ChatError as error:
            return f"the store refuses a write: {error.message}"
        return ""


def prove(folder: Path) -> None:
    """Write and sync a file in a folder that the realm writes to.

    Raises:
        OSError: the folder is not writable.
    """
    with TemporaryFile(dir=folder) as file:
        file.write(os.urandom(PROOF))
        file.flush()
        os.fsync(file.fileno())
