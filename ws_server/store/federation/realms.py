"""Other realms: what they are called here, their keys, and how far each side has got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, update

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.key import fingerprint
from ws_server.store.schema import realms

ACTIVE, PENDING, BLOCKED, REMOVED = "active", "pending", "blocked", "removed"
MAX_ROWS = 512
"""Rows for one realm that may be on their way and unconfirmed."""


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
    refusals: str
    confirmed: int
    vouched: bool
    """Somebody here added it, wrote to its people, or let it in."""

    @property
    def tag(self) -> str:
        """The name that it has until somebody vouches for it: its own, with a piece of its key."""
        return tagged(self.own_name, self.public_key)

    @property
    def shown_address(self) -> str:
        """The address as `addrealm` takes it; empty if there is none."""
        return ("wss://" if self.tls else "") + self.address if self.address else ""


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
    realms.c.refusals,
    realms.c.confirmed,
    realms.c.vouched,
)


def tagged(own_name: str, public_key: bytes) -> str:
    """Return what a realm is called that nobody here has confirmed, such as `beta~K3F9`."""
    return f"{own_name[:27]}~{fingerprint(public_key)[:4]}"


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
    """Return the realm of this name here, which may be one that was removed.

    Raises:
        ChatError: UNKNOWN_REALM.
    """
    found = find(tx, name)
    if found is None:
        raise unknown_realm(name)
    return found


def get(tx: Connection, realm_id: int) -> KnownRealm:
    """Return the realm with this id, which must exist."""
    row: Sequence[Any] = tx.execute(select(*_COLUMNS).where(realms.c.id == realm_id)).one()
    return KnownRealm(*row)


def by_key(tx: Connection, public_key: bytes) -> KnownRealm | None:
    """Return the realm with this key."""
    return _realm(tx.execute(select(*_COLUMNS).where(realms.c.public_key == public_key)).first())


def unknown_realm(name: str) -> ChatError:
    """Return the refusal for a name that no realm has here."""
    return ChatError(
        ErrorCode.UNKNOWN_REALM,
        f"No realm is known here as {name}; add it with addrealm {name} <address> <port>",
    )


def check_writable(realm: KnownRealm) -> None:
    """Refuse what would be sent to a realm that may not be talked to now.

    Raises:
        ChatError: UNKNOWN_REALM, it was removed; FORBIDDEN, it is blocked or not approved.
    """
    if realm.state == REMOVED:
        raise unknown_realm(realm.name)
    if realm.state == BLOCKED:
        raise forbidden(f"{realm.name} is blocked here by an admin; nothing can be sent to it")
    if realm.state == PENDING:
        raise forbidden(f"{realm.name} waits for an admin's approval; nothing can be sent to it")


def forbidden(why: str) -> ChatError:
    """Return the refusal of what the admins here do not let people do."""
    return ChatError(ErrorCode.FORBIDDEN, why)


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
    vouched: bool = True,
    met_from: str | None = None,
    now: int,
) -> KnownRealm:
    """Keep a realm whose key was proven.

    Args:
        met_from: The neighbourhood of the address from which it dialled; None if it was added.

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
            vouched=vouched,
            met_from=met_from,
            created=now,
            received=0,
            received_log="",
            refusals="{}",
            confirmed=0,
        )
    )
    made = by_key(tx, public_key)
    assert made is not None
    return made


# Made once, as links run it many times a second.
_RECEIVED = (
    update(realms)
    .where(realms.c.id == bindparam("of"), realms.c.received_log == bindparam("log"))
    .values(received=bindparam("number"))
    .returning(realms.c.refusals)
)


def receive(tx: Connection, realm_id: int, log: str, number: int, refused: dict[int, str]) -> str:
    """Note how far a realm's rows are durable here, and return the newest that were refused.

    They are told again when the next link begins: the `ack` that told them may have been lost.

    Args:
        log: The history of the realm that the number counts.
        refused: What was refused now, with the codes.

    Returns:
        As many as can be unconfirmed, as JSON.
    """
    r = realms.c
    if not refused:
        # What almost every batch comes to, in one statement.
        found = tx.execute(_RECEIVED, {"of": realm_id, "log": log, "number": number}).first()
        if found is not None:
            return str(found.refusals)
    received_log, refusals = tx.execute(
        select(r.received_log, r.refusals).where(r.id == realm_id)
    ).one()
    kept = orjson.loads(refusals) if received_log == log else {}
    kept |= {str(refused_number): code for refused_number, code in refused.items()}
    newest = sorted(kept, key=int)[-MAX_ROWS:]
    text = orjson.dumps({n: kept[n] for n in newest}).decode()
    change(tx, realm_id, received=number, received_log=log, refusals=text)
    return text


def change(tx: Connection, realm_id: int, **values: Any) -> KnownRealm:
    """Change columns of a realm, such as its address or its state, and return it."""
    tx.execute(update(realms).where(realms.c.id == realm_id).values(**values))
    return get(tx, realm_id)
