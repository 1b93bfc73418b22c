"""Other realms: what they are called here, their keys, and how far each side has got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.store.schema import realms

ACTIVE, PENDING, BLOCKED, REMOVED = "active", "pending", "blocked", "removed"


@dataclass(frozen=True, slots=True)
class KnownRealm:
    """One other realm."""

    id: int
    name: str
    public_key: bytes
    own_name: str
    address: str | None
    port: int | None
    tls: bool
    state: str
    received: int
    received_log: str
    confirmed: int


_COLUMNS = (
    realms.c.id,
    realms.c.name,
    realms.c.public_key,
    realms.c.own_name,
    realms.c.address,
    realms.c.port,
    realms.c.tls,
    realms.c.state,
    realms.c.received,
    realms.c.received_log,
    realms.c.confirmed,
)


def _realm(row: Sequence[Any] | None) -> KnownRealm | None:
    return KnownRealm(*row) if row else None


def everybody(tx: Connection) -> list[KnownRealm]:
    """Return all realms by name, those that were removed too."""
    rows: Sequence[Sequence[Any]] = tx.execute(select(*_COLUMNS).order_by(realms.c.key)).all()
    return [KnownRealm(*row) for row in rows]


def find(tx: Connection, name: str) -> KnownRealm | None:
    """Return the realm of this name here, whatever its case."""
    return _realm(tx.execute(select(*_COLUMNS).where(realms.c.key == fold(name))).first())


def existing(tx: Connection, name: str) -> KnownRealm:
    """Return the realm of this name here.

    Raises:
        ChatError: UNKNOWN_REALM.
    """
    found = find(tx, name)
    if found is None or found.state == REMOVED:
        raise unknown_realm(name)
    return found


def by_key(tx: Connection, public_key: bytes) -> KnownRealm | None:
    """Return the realm with this key."""
    return _realm(tx.execute(select(*_COLUMNS).where(realms.c.public_key == public_key)).first())


def unknown_realm(name: str) -> ChatError:
    """Return the refusal for a name that no realm has here."""
    return ChatError(
        ErrorCode.UNKNOWN_REALM,
        f"No realm is known here as {name}; add it with addrealm {name} <address> <port>",
    )


def free_name(tx: Connection, wanted: str, home: str) -> str:
    """Return a name for a realm that dialled here: its own, or with a number if that is taken.

    Args:
        home: This realm's own (folded) name, which is taken too.
    """
    taken = {home, *tx.scalars(select(realms.c.key))}
    name, number = wanted, 1
    while fold(name) in taken:
        number += 1
        suffix = f"-{number}"
        name = wanted[: 32 - len(suffix)] + suffix
    return name


def add(
    tx: Connection,
    *,
    name: str,
    public_key: bytes,
    own_name: str,
    address: str | None,
    port: int | None,
    tls: bool,
    state: str,
    now: int,
) -> KnownRealm:
    """Keep a realm whose key was proven.

    Raises:
        ChatError: REALM_EXISTS, the name is another realm's.
    """
    if find(tx, name) is not None:
        raise ChatError(ErrorCode.REALM_EXISTS, f"{name} is the name of another realm here")
    tx.execute(
        insert(realms).values(
            name=name,
            key=fold(name),
            public_key=public_key,
            own_name=own_name,
            address=address,
            port=port,
            tls=tls,
            state=state,
            created=now,
            received=0,
            received_log="",
            confirmed=0,
        )
    )
    made = by_key(tx, public_key)
    assert made is not None
    return made


def keep(
    tx: Connection,
    *,
    name: str,
    public_key: bytes,
    own_name: str,
    address: str,
    port: int,
    tls: bool,
    now: int,
) -> KnownRealm:
    """Keep a realm that somebody added, or its new address if it was known under this name.

    Raises:
        ChatError: REALM_EXISTS, the name is another realm's, or the realm has another name here.
    """
    known = by_key(tx, public_key)
    if known is None:
        return add(
            tx,
            name=name,
            public_key=public_key,
            own_name=own_name,
            address=address,
            port=port,
            tls=tls,
            state=ACTIVE,
            now=now,
        )
    if fold(known.name) != fold(name):
        raise ChatError(ErrorCode.REALM_EXISTS, f"This realm is known here as {known.name}")
    if known.state == BLOCKED:
        raise ChatError(ErrorCode.REALM_REFUSED, f"{known.name} is blocked by the admin here")
    change(tx, known.id, address=address, port=port, tls=tls, state=ACTIVE)
    changed = by_key(tx, public_key)
    assert changed is not None
    return changed


def change(tx: Connection, realm_id: int, **values: Any) -> None:
    """Change columns of a realm, such as its address or its state."""
    tx.execute(update(realms).where(realms.c.id == realm_id).values(**values))
