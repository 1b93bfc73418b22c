"""Opens the data of a realm on disk, and determines its name."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import AsyncExitStack

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from shared.faults import shown
from shared.protocol.values import fold
from ws_server import key
from ws_server.data_folder import Refused, database_url, lock_database
from ws_server.settings import Settings
from ws_server.store.contents.blobs import Blobs
from ws_server.store.database import Database
from ws_server.store.federation import own_name


async def open_store(
    settings: Settings, stack: AsyncExitStack
) -> tuple[Blobs, Ed25519PrivateKey, Database]:
    """Open the data of a realm on disk.

    Raises:
        OSError: the data folder is unreadable or not writable.
        Refused, DatabaseRefused, KeyRefused: it cannot be opened; the text has the reason.
    """
    reserve, quota = settings.reserve, settings.max_all_files
    blobs = Blobs(
        settings.data,
        reserve=None if reserve is None else reserve * 2**20,
        quota=None if quota is None else quota * 2**20,
    )
    for folder in ("blobs", "uploads"):
        if not os.access(settings.data / folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), settings.data / folder)
    stack.callback(blobs.close)
    realm_key = await asyncio.to_thread(key.read_or_make, settings.data)
    url = database_url(settings)
    if settings.database and (lock := lock_database(url)) is not None:
        stack.callback(lock.close)
    database = await asyncio.to_thread(Database.open, url)
    stack.callback(database.close)
    return blobs, realm_key, database


async def realm_name(settings: Settings, database: Database, serves: bool) -> str:
    """Return the realm's name: from its data or, at the first start, from the settings.

    Raises:
        Refused: the realm would be served under a name other than its own.
    """

    def ask(tx: Connection) -> tuple[str | None, bool]:
        return own_name.stored_name(tx), own_name.is_taken(tx, settings.realm)

    kept, is_taken = await database.read(ask)
    data, wanted = shown(settings.data.resolve()), settings.realm
    if kept is None:
        if serves and is_taken:
            raise Refused(
                f"Another realm is known as {wanted} in {data}, so this one cannot have that name. "
                "Give another one with --realm"
            )
        return wanted
    if serves and "realm" in settings.model_fields_set and fold(kept) != fold(wanted):
        raise Refused(
            f"The realm in {data} is called {kept}, not {wanted}. Leave out --realm (CHAT_REALM, "
            f"realm in the --config file), or rename it with: admin realm rename {wanted}; for a "
            "new realm give another folder with --data"
        )
    return kept
