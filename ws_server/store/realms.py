"""Other realms: what they are called here, their keys, and how far each side has got."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, func, insert, select, update

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.key import fingerprint
from ws_server.store.schema import realms

ACTIVE, PENDING, BLOCKED, REMOVED = "active", "pending", "blocked", "removed"
MAX_ROWS = 512
"""Rows for one realm that may be on their way and unconfirmed."""
MAX_PENDING = 50
"""Realms that may wait for approval; then no further unknown one is noted."""
MAX_MET = 1_000
"""Realms known here, the removed ones too, above which no unknown one is noted that dials."""
MAX_KNOWN = 1_500
"""Realms known here, above which nobody can add one; a list of them fits one frame."""


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
            refusals="{}",
            confirmed=0,
        )
    )
    made = by_key(tx, public_key)
    assert made is not None
    return made


def meet(
    tx: Connection,
    *,
    public_key: bytes,
    own_name: str,
    address: str | None,
    port: int | None,
    tls: bool,
    state: str,
    home: str,
    now: int,
) -> KnownRealm:
    """Note a realm that dialled here and is not known, under a name that is free.

    Raises:
        ChatError: REALM_REFUSED, too many are known, or wait for approval.
    """
    if (known := by_key(tx, public_key)) is not None:
        return known  # it dialled twice at once
    waiting = tx.scalar(select(func.count()).where(realms.c.state == PENDING)) or 0
    if _total(tx) >= MAX_MET or (state == PENDING and waiting >= MAX_PENDING):
        raise ChatError(
            ErrorCode.REALM_REFUSED, "Too many realms are known here; ask its admin to add yours"
        )
    return add(
        tx,
        name=free_name(tx, own_name, home),
        public_key=public_key,
        own_name=own_name,
        address=address,
        port=port,
        tls=tls,
        state=state,
        now=now,
    )


def _total(tx: Connection) -> int:
    return tx.scalar(select(func.count()).select_from(realms)) or 0


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
        ChatError: see `check_addable`.
    """
    known = by_key(tx, public_key)
    check_addable(name, find(tx, name), known)
    if known is None and _total(tx) >= MAX_KNOWN:
        raise forbidden("Too many realms are known here")
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
    return change(tx, known.id, address=address, port=port, tls=tls, state=ACTIVE)


def check_addable(name: str, named: KnownRealm | None, known: KnownRealm | None) -> None:
    """Refuse to add a realm that is blocked, or by a name that means another one.

    Args:
        named: Which realm the name means here.
        known: Which realm has the key here.

    Raises:
        ChatError: REALM_EXISTS, FORBIDDEN.
    """
    if known is not None and fold(known.name) != fold(name):
        raise ChatError(ErrorCode.REALM_EXISTS, f"This realm is known here as {known.name}")
    if known is None and named is not None:
        raise ChatError(
            ErrorCode.REALM_EXISTS,
            f"{named.name} is known here with another key, {fingerprint(named.public_key)}. "
            "Choose another name; if its operator confirms that the key is new, an admin here "
            f"runs: ./chat admin realm retrust {named.name}",
        )
    if known is not None and known.state == BLOCKED:
        raise forbidden(f"{known.name} is blocked here by an admin")


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


def retrust(
    tx: Connection, realm_id: int, public_key: bytes, home: str, now: int
) -> tuple[KnownRealm, KnownRealm]:
    """Pin another key under a realm's name; its old key is kept as that of a removed realm.

    If the other key is known under a name of its own, that realm is removed, and both change keys,
    with what was received from each. The caller numbers what waits anew (`outbox.renumber`).

    Returns:
        The realm, and the removed one that now has the old key.
    """
    known, other = get(tx, realm_id), by_key(tx, public_key)
    if other is None:
        other = add(
            tx,
            name=free_name(tx, f"{known.name[:28]}.old", home),
            public_key=os.urandom(32),
            own_name=known.own_name,
            address=None,
            port=None,
            tls=False,
            state=REMOVED,
            now=now,
        )
    # A key belongs to one realm at any time, so one of both has none for a moment.
    change(tx, other.id, public_key=os.urandom(32))
    for realm, had, state in ((known, other, known.state), (other, known, REMOVED)):
        change(
            tx,
            realm.id,
            public_key=public_key if realm is known else known.public_key,
            own_name=had.own_name,
            received=had.received,
            received_log=had.received_log,
            state=state,
        )
    return get(tx, known.id), get(tx, other.id)
