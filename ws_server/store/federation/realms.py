"""Other realms: their names here, their keys, and the positions of both directions of a link."""

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
"""Sent and unacknowledged rows of one realm."""


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
    """Whether a local user confirmed the realm: added it, wrote to its users, or approved it."""

    @property
    def tag(self) -> str:
        """The realm's name here until it is vouched for: its own name with a piece of its key."""
        return tagged(self.own_name, self.public_key)

    @property
    def shown_address(self) -> str:
        """The address in the form `addrealm` accepts; empty if there is none."""
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
    """Return the name of a realm that no local user has confirmed, such as `beta~K3F9`."""
    return f"{own_name[:27]}~{fingerprint(public_key)[:4]}"


def _realm(row: Sequence[Any] | None) -> KnownRealm | None:
    return KnownRealm(*row) if row else None


def all_realms(tx: Connection) -> list[KnownRealm]:
    """Return all realms by name, including removed ones."""
    rows: Sequence[Sequence[Any]] = tx.execute(select(*_COLUMNS).order_by(realms.c.key)).all()
    return [KnownRealm(*row) for row in rows]


def find(tx: Connection, name: str) -> KnownRealm | None:
    """Return the realm with this local name, compared case-insensitively; None if there is none."""
    return _realm(tx.execute(select(*_COLUMNS).where(realms.c.key == fold(name))).first())


def existing(tx: Connection, name: str) -> KnownRealm:
    """Return the realm with this local name, including removed ones.

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
    """Return the realm with this public key; None if there is none."""
    return _realm(tx.execute(select(*_COLUMNS).where(realms.c.public_key == public_key)).first())


def unknown_realm(name: str) -> ChatError:
    """Return the refusal for a name that no realm has here."""
    return ChatError(
        ErrorCode.UNKNOWN_REALM,
        f"No realm is known here as {name}; add it with addrealm {name} <address> <port>",
    )


def check_writable(realm: KnownRealm) -> None:
    """Refuse sending to a realm that is not active.

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
    """Return the refusal of an action that the admins here do not permit."""
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
    """Store a realm whose key was verified.

    Args:
        met_from: The network from which the realm dialled; None if a local user added it.
        now: Unix milliseconds.

    Raises:
        ChatError: REALM_EXISTS, another realm has the name.
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


# Built once: links run it many times a second.
_RECEIVED = (
    update(realms)
    .where(realms.c.id == bindparam("of"), realms.c.received_log == bindparam("log"))
    .values(received=bindparam("number"))
    .returning(realms.c.refusals)
)


def receive(tx: Connection, realm_id: int, log: str, number: int, refused: dict[int, str]) -> str:
    """Persist the number of a realm's last durable row; return the most recent refusals.

    Refusals are sent again when the next link begins, because the `ack` that carried them may have
    been lost.

    Args:
        log: The history of the realm to which the number belongs.
        refused: The codes of newly refused rows, by number.

    Returns:
        JSON, codes by number, at most MAX_ROWS: as many as can be unacknowledged.
    """
    r = realms.c
    if not refused:
        # The common case, in one statement.
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
    """Update columns of a realm, such as its address or state, and return the realm."""
    tx.execute(update(realms).where(realms.c.id == realm_id).values(**values))
    return get(tx, realm_id)
