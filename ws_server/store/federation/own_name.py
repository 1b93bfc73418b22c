"""This realm's own name, stored with its data and included in backups."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from shared.protocol.values import NAME, fold
from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.schema import meta, realms

_KEY = "realm"


def stored_name(tx: Connection) -> str | None:
    """Return the stored name; None before the realm is served for the first time.

    Raises:
        DatabaseRefused: the stored value is not a valid name.
    """
    name = tx.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    if name is not None and not NAME.fullmatch(name):
        raise DatabaseRefused("The realm's name in the database is damaged: restore a backup")
    return name


def store_name(tx: Connection, name: str) -> None:
    """Store the realm's name, replacing the previous one."""
    tx.execute(delete(meta).where(meta.c.key == _KEY))
    tx.execute(insert(meta).values(key=_KEY, value=name))


def is_taken(tx: Connection, name: str) -> bool:
    """Return whether another realm has this name here; addresses would refer to that realm."""
    return tx.scalar(select(realms.c.id).where(realms.c.key == fold(name))) is not None
