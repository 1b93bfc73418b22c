"""How other realms become known: they dial in, are added, and are confirmed by somebody here.

A realm that dialled in has named itself, so it is called `beta~K3F9`, with a piece of its key. It
is called beta once somebody here has to do with it, or has added it.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select, update

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.key import fingerprint
from ws_server.store.federation.realms import (
    ACTIVE,
    BLOCKED,
    PENDING,
    REMOVED,
    KnownRealm,
    add,
    by_key,
    change,
    everybody,
    existing,
    find,
    forbidden,
    get,
    tagged,
)
from ws_server.store.schema import conversations, members, outbox, realms, users

MAX_PENDING = 50
"""Realms that may wait for approval; for a further one, another one goes."""
MAX_MET = 1_000
"""Realms known here, the removed ones too, above which the same holds for any that dials."""
MAX_KNOWN = 1_500
"""Realms known here, above which nobody can add one; a list of them fits one frame."""


def meant(tx: Connection, name: str) -> KnownRealm:
    """Return the realm that an operator means, who may leave out the piece of its key.

    Raises:
        ChatError: UNKNOWN_REALM; CONFLICT, several call themselves so.
    """
    found = find(tx, name)
    if found is not None:
        return found
    strangers = [one for one in everybody(tx) if fold(one.own_name) == fold(name)]
    strangers = [one for one in strangers if not one.vouched]
    if len(strangers) > 1:
        names = ", ".join(one.name for one in strangers)
        raise ChatError(ErrorCode.CONFLICT, f"Several call themselves {name}: {names}")
    return strangers[0] if strangers else existing(tx, name)


def free_name(tx: Connection, wanted: str, home: str) -> str:
    """Return a name for a realm that was not added: its own, or with a number if that is taken.

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


def add_from_handshake(
    tx: Connection,
    *,
    public_key: bytes,
    own_name: str,
    address: str | None,
    port: int | None,
    tls: bool,
    state: str,
    met_from: str,
    home: str,
    trial: bool,
    now: int,
) -> tuple[KnownRealm, KnownRealm | None]:
    """Note a realm that dialled here and is not known, under a name that is free.

    Args:
        met_from: The neighbourhood of its address (`shared.addresses`).
        trial: It is a server on the same desk, so its name is believed.

    Returns:
        The realm, and the one that had to go for it.

    Raises:
        ChatError: REALM_REFUSED, too many are known.
    """
    if (known := by_key(tx, public_key)) is not None:
        return known, None  # it dialled twice at once
    gone = None
    waiting = tx.scalar(select(func.count()).where(realms.c.state == PENDING)) or 0
    if _total(tx) >= MAX_MET or (state == PENDING and waiting >= MAX_PENDING):
        gone = _let_one_go(tx, met_from)
        if gone is None:
            raise ChatError(
                ErrorCode.REALM_REFUSED,
                "Too many realms are known here; ask its admin to add yours",
            )
    made = add(
        tx,
        name=free_name(tx, own_name if trial else tagged(own_name, public_key), home),
        public_key=public_key,
        own_name=own_name,
        address=address,
        port=port,
        tls=tls,
        state=state,
        vouched=False,
        met_from=met_from,
        now=now,
    )
    return made, gone


def _let_one_go(tx: Connection, met_from: str) -> KnownRealm | None:
    """Forget the oldest realm that waits for approval, of the neighbourhood that has most of them.

    So nobody keeps others out, and a newcomer's own neighbours go before others.

    Args:
        met_from: The newcomer's neighbourhood.

    Returns:
        The realm; None if none waits of which nothing else is kept.
    """
    r = realms.c
    waiting = tx.execute(
        select(r.id, func.coalesce(r.met_from, r.key).label("met_from"))
        .where(r.state == PENDING, r.vouched.is_(False))
        .where(*(~exists().where(t.c.realm_id == r.id) for t in (users, conversations, outbox)))
        .order_by(r.created, r.id)
    ).all()
    counts = Counter({met_from: 1})
    counts.update(row.met_from for row in waiting)
    most = max(counts.values())
    crowded = {where for where, count in counts.items() if count == most}
    if most > 1 and met_from in crowded:
        crowded = {met_from}
    oldest = next((row.id for row in waiting if row.met_from in crowded), None)
    if oldest is None:
        return None
    gone = get(tx, oldest)
    tx.execute(delete(realms).where(r.id == oldest))
    return gone


def vouch(tx: Connection, realm_id: int, home: str) -> KnownRealm:
    """Note that somebody here has confirmed a realm: it has its own name from then on, if free."""
    known = get(tx, realm_id)
    if known.vouched:
        return known
    name = known.name
    if "~" in name:
        name = free_name(tx, known.own_name, home)
    return _rename(tx, known, name, vouched=True)


def _make_way(tx: Connection, named: KnownRealm, home: str) -> KnownRealm:
    """Take a name from a realm that nobody has confirmed."""
    return _rename(tx, named, free_name(tx, named.tag, home))


def _rename(tx: Connection, known: KnownRealm, name: str, **more: Any) -> KnownRealm:
    """Call a realm by another name; copies of conversations with its people are stale."""
    if name != known.name:
        inside = (
            select(members.c.conversation_id)
            .join(users, users.c.id == members.c.user_id)
            .where(users.c.realm_id == known.id)
        )
        c = conversations.c
        tx.execute(
            update(conversations)
            .where(c.id.in_(inside), c.realm_id.is_(None))
            .values(version=c.version + 1)
        )
    return change(tx, known.id, name=name, key=fold(name), **more)


def people_of(tx: Connection, realm_id: int) -> set[int]:
    """Return the people here who have conversations with those of another realm, by id."""
    other, stranger, mine = members.alias(), users.alias(), users.alias()
    return set(
        tx.scalars(
            select(members.c.user_id)
            .distinct()
            .join(other, other.c.conversation_id == members.c.conversation_id)
            .join(stranger, stranger.c.id == other.c.user_id)
            .join(mine, mine.c.id == members.c.user_id)
            .where(stranger.c.realm_id == realm_id, mine.c.realm_id.is_(None))
        )
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
    home: str,
    now: int,
) -> tuple[KnownRealm, KnownRealm | None]:
    """Keep a realm that somebody added, or its new address if it was known under this name.

    A realm that nobody had confirmed takes the name, and one that had it gives it away.

    Returns:
        The realm, and the one that has another name now.

    Raises:
        ChatError: see `check_addable`.
    """
    known, named = by_key(tx, public_key), find(tx, name)
    check_addable(name, named, known)
    if known is None and _total(tx) >= MAX_KNOWN:
        raise forbidden("Too many realms are known here")
    moved = None
    if named is not None and (known is None or named.id != known.id):
        moved = _make_way(tx, named, home)
    if known is None:
        made = add(
            tx,
            name=name,
            public_key=public_key,
            own_name=own_name,
            address=address,
            port=port,
            tls=tls,
            state=ACTIVE,
            vouched=True,
            now=now,
        )
        return made, moved
    place = {"address": address, "port": port, "tls": tls}
    called = known.name if known.vouched else name
    return _rename(tx, known, called, state=ACTIVE, vouched=True, **place), moved


def check_addable(name: str, named: KnownRealm | None, known: KnownRealm | None) -> None:
    """Refuse to add a realm that is blocked, or by a name that means another one.

    Args:
        named: Which realm the name means here.
        known: Which realm has the key here.

    Raises:
        ChatError: REALM_EXISTS, FORBIDDEN.
    """
    if known is not None and known.vouched and fold(known.name) != fold(name):
        raise ChatError(ErrorCode.REALM_EXISTS, f"This realm is known here as {known.name}")
    if named is not None and named.vouched and (known is None or named.id != known.id):
        raise ChatError(
            ErrorCode.REALM_EXISTS,
            f"{named.name} is known here with another key, {fingerprint(named.public_key)}. "
            "Choose another name; if its operator confirms that the key is new, an admin here "
            f"runs: ./chat admin realm retrust {named.name}",
        )
    if known is not None and known.state == BLOCKED:
        raise forbidden(f"{known.name} is blocked here by an admin")


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
            vouched=True,
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
            vouched=True,
        )
    return get(tx, known.id), get(tx, other.id)
