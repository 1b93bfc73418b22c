"""How other realms become known: they dial in, are added, and are confirmed by local users.

A realm that dialled in chose its own name, so its name here is `beta~K3F9`, with a piece of its
key. It is renamed to beta once a local user has written to its users or has added it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
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
    all_realms,
    by_key,
    change,
    existing,
    find,
    forbidden,
    get,
    tagged,
)
from ws_server.store.schema import conversations, members, outbox, realms, users

MAX_PENDING = 50
"""Realms that may wait for approval; a further one evicts another."""
MAX_MET = 1_000
"""Known realms, including removed ones, from which on any realm that dials evicts another."""
MAX_KNOWN = 1_500
"""Known realms, above which none can be added; a list of them fits one frame."""


def meant(tx: Connection, name: str) -> KnownRealm:
    """Return the realm that an operator names, with or without the piece of its key.

    Raises:
        ChatError: UNKNOWN_REALM; CONFLICT, the name fits several unconfirmed realms.
    """
    found = find(tx, name)
    if found is not None:
        return found
    strangers = [one for one in all_realms(tx) if fold(one.own_name) == fold(name)]
    strangers = [one for one in strangers if not one.vouched]
    if len(strangers) > 1:
        names = ", ".join(one.name for one in strangers)
        raise ChatError(ErrorCode.CONFLICT, f"Several realms call themselves {name}: {names}")
    return strangers[0] if strangers else existing(tx, name)


def free_name(tx: Connection, wanted: str, home: str) -> str:
    """Return a free name for a realm: the wanted one, with a number appended if that is taken.

    Args:
        home: This realm's own name, folded; it counts as taken.
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
    idle: Collection[int],
    now: int,
) -> tuple[KnownRealm, KnownRealm | None]:
    """Store a realm that dialled in and is unknown, under a free name.

    Args:
        met_from: The network of its address (`shared.addresses`).
        idle: The realms without a link; of active realms, only these are evicted.
        trial: It is a server on the same desk, so its name is trusted.

    Returns:
        The realm, and the realm that was evicted for it, or None.

    Raises:
        ChatError: REALM_REFUSED, too many realms are known.
    """
    if (known := by_key(tx, public_key)) is not None:
        return known, None  # two dials at once
    gone = None
    waiting = tx.scalar(select(func.count()).where(realms.c.state == PENDING)) or 0
    is_full = _total(tx) >= MAX_MET
    if is_full or (state == PENDING and waiting >= MAX_PENDING):
        gone = _let_one_go(tx, met_from, idle if is_full else ())
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


def _let_one_go(tx: Connection, met_from: str, idle: Collection[int]) -> KnownRealm | None:
    """Delete the oldest realm that nobody here has to do with, from the network with most of them.

    So no network can crowd out the others. If the newcomer's own network is among the largest,
    its realms are evicted first.

    Args:
        met_from: The newcomer's network.
        idle: Realms that may be evicted although they are active.

    Returns:
        The realm, which waited for approval or was idle; None if all of these are confirmed or
        have stored users, conversations or rows.
    """
    r = realms.c
    strangers = tx.execute(
        select(r.id, r.state, func.coalesce(r.met_from, r.key).label("met_from"))
        .where(r.state.in_((PENDING, ACTIVE)), r.vouched.is_(False))
        .where(*(~exists().where(t.c.realm_id == r.id) for t in (users, conversations, outbox)))
        .order_by(r.created, r.id)
    ).all()
    strangers = [row for row in strangers if row.state == PENDING or row.id in idle]
    counts = Counter({met_from: 1})
    counts.update(row.met_from for row in strangers)
    most = max(counts.values())
    crowded = {network for network, count in counts.items() if count == most}
    if most > 1 and met_from in crowded:
        crowded = {met_from}
    oldest = next((row.id for row in strangers if row.met_from in crowded), None)
    if oldest is None:
        return None
    gone = get(tx, oldest)
    tx.execute(delete(realms).where(r.id == oldest))
    return gone


def vouch(tx: Connection, realm_id: int, home: str) -> KnownRealm:
    """Mark a realm as confirmed by a local user, and rename it to its own name, if that is free."""
    known = get(tx, realm_id)
    if known.vouched:
        return known
    name = known.name
    if "~" in name:
        name = free_name(tx, known.own_name, home)
    return _rename(tx, known, name, vouched=True)


def _make_way(tx: Connection, named: KnownRealm, home: str) -> KnownRealm:
    """Rename an unconfirmed realm, so that its present name becomes free."""
    return _rename(tx, named, free_name(tx, named.tag, home))


def _rename(tx: Connection, known: KnownRealm, name: str, **more: Any) -> KnownRealm:
    """Rename a realm, and invalidate cached copies of conversations with its users."""
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
    """Return the ids of local users who have conversations with users of another realm."""
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


def store_realm(
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
    """Store a realm that a local user added, or its new address if it has this name already.

    An unconfirmed realm with this key is renamed; an unconfirmed one with this name loses it.

    Returns:
        The realm, and the realm that lost its name, or None.

    Raises:
        ChatError: see `check_addable`; FORBIDDEN, MAX_KNOWN realms are known.
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
    """Refuse to add a blocked realm, or one under the name of another.

    Args:
        named: The realm with this name here.
        known: The realm with this key here.

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
    """Pin another key under a realm's name; the old key is kept with a removed realm.

    If the new key belongs to a known realm, that realm is removed, and the two swap keys together
    with their receive positions. The caller renumbers the pending rows (`outbox.renumber`).

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
    # Keys are unique, so one of the two gets a random key in between.
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
