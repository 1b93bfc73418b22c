"""What a realm calls itself: its name is kept with its data, and backups carry it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from shared.protocol.values import NAME, fold
from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.schema import meta, realms

_KEY = "realm"


def kept(tx: Connection) -> str | None:
    """Return the realm's name; None until it was served for the first time.

    Raises:
        DatabaseRefused: what is there is no name.
    """
    name = tx.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    if name is not None and not NAME.fullmatch(name):
        raise DatabaseRefused("The realm's name in the database is damaged: restore a backup")
    return name


def keep(tx: Connection, name: str) -> None:
    """Keep the realm's name, instead of the one that it has."""
    tx.execute(delete(meta).where(meta.c.key == _KEY))
    tx.execute(insert(meta).values(key=_KEY, value=name))


def is_taken(tx: Connection, name: str) -> bool:
    """Tell whether another realm is known under a name, so that addresses here mean that one."""
    return tx.scalar(select(realms.c.id).where(realms.c.key == fold(name))) is not None
