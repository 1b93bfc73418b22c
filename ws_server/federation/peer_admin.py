"""Trust in realms: adding one, approving, blocking and removing it, and replacing its key."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import Context

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.federation.handshake import dialling
from ws_server.federation.handshake.dial_policy import Unreachable, read_address
from ws_server.federation.handshake.handshake_client import Declined, Endpoint, Proven
from ws_server.federation.handshake.transcript import NotProven
from ws_server.federation.links.linker import Linker
from ws_server.federation.peer import Peer
from ws_server.key import fingerprint
from ws_server.outcome import Outcome
from ws_server.publications import commit
from ws_server.store.federation import (
    outbox,
    outbox_queries,
    outbox_rows,
    realm_trust,
    realms,
    replica_repair,
)
from ws_server.store.federation.outbox_rows import Item
from ws_server.store.federation.realms import ACTIVE, REMOVED, KnownRealm, unknown_realm

log = logging.getLogger(__name__)

ADD = 5.0
"""Seconds after which `addrealm` reports a failure, whatever its reason."""
OPENING = 0.8
"""Seconds that `addrealm` waits for the link to open before it replies that the link is down."""
MAX_TOLD = 1_000
"""Messages for a removed realm whose refusal is announced at once; queries show the others."""


class _Seen(Exception):
    """Ends a dial once the listener's key is proven, before this realm authenticates."""

    def __init__(self, key: bytes) -> None:
        self.key = key


async def add(linker: Linker, name: str, address: str, port: int, wanted: str | None) -> Peer:
    """Add a realm under a name, or change its address, once it has proven its key.

    Args:
        address: The realm's host, after `wss://` for TLS.
        wanted: The fingerprint that the realm's key must have, if the user gave one.

    Raises:
        ChatError: REALM_UNREACHABLE, no realm with the right key answered; REALM_EXISTS, the name
            belongs to another realm, or the realm has another name; FORBIDDEN, the realm is
            blocked here; REALM_REFUSED, the realm refused the link.
    """
    peers = linker.peers

    def judge(key: bytes) -> None:
        if wanted is not None and bare(wanted) != bare(fingerprint(key)):
            raise ChatError(
                ErrorCode.REALM_UNREACHABLE,
                f"The realm at {address} {port} has the fingerprint {fingerprint(key)}, not the "
                "one given; nothing was added. Ask its operator for the right one",
            )
        named, holder = peers.find(name), peers.by_key(key)
        realm_trust.check_addable(
            name, named.known if named else None, holder.known if holder else None
        )

    begun = asyncio.get_running_loop().time()
    try:
        host, tls = read_address(address)
        endpoint = Endpoint(host, port, tls)
        proven = await linker.dialler.dial(
            endpoint,
            judge=judge,
            turns=linker.dialler.adds,
            public=not peers.private,
            limit=ADD,
        )
    except Declined as no:
        raise ChatError(
            ErrorCode.REALM_REFUSED, f"The realm at {address} {port}: {no}; nothing was added"
        ) from None
    except (Unreachable, NotProven) as error:
        log.info("no realm added", extra={"realm": name, "why": str(error)})
        # Fail after a constant time, which does not reveal whether the port is open.
        await asyncio.sleep(begun + ADD - asyncio.get_running_loop().time())
        raise unreachable(f"{address} {port}") from None
    listener = proven.transcript.listener

    def store(tx: Connection, now: int) -> tuple[KnownRealm, KnownRealm | None]:
        return realm_trust.store_realm(
            tx,
            name=name,
            public_key=listener.key,
            own_name=listener.realm,
            address=host,
            port=port,
            tls=tls,
            home=linker.services.identity.local_name,
            now=now,
        )

    def apply(stored: tuple[KnownRealm, KnownRealm | None]) -> None:
        # The former owner of the name first, so that two peers never share a name.
        if stored[1] is not None:
            peers.upsert(stored[1])

    try:
        known, _ = await linker.services.journal.write(store, apply)
    except BaseException:
        peers.start(proven.wire.closed())
        raise
    return await _link(linker, known, proven)


async def _link(linker: Linker, known: KnownRealm, proven: Proven) -> Peer:
    """Use the connection that added a realm as the realm's link."""
    peers = linker.peers
    if proven.state != ACTIVE:
        peers.start(proven.wire.closed())
        pending = peers.upsert(known)
        pending.trouble = dialling.NOT_APPROVED
        return pending
    peer = peers.upsert(known, dials=False)
    link = linker.dialled(peer, proven)
    if link is None:
        return peers.upsert(known)
    keeping = dialling.keep(linker, peer, (proven.wire, link))
    # It outlives the command, whose sender is not charged for it.
    peer.keep_by(asyncio.create_task(keeping, context=Context()))
    with suppress(TimeoutError):
        async with asyncio.timeout(OPENING):
            await peer.opened.wait()
    return peer


async def change_state(
    linker: Linker, name: str, allowed: tuple[str, ...], state: str
) -> KnownRealm:
    """Approve or block a realm, with immediate effect.

    Args:
        name: The realm's local name.
        allowed: The states from which the change is allowed. `state` may be among them: the change
            then confirms a realm that no local user has confirmed.
        state: The new state.

    Raises:
        ChatError: UNKNOWN_REALM; CONFLICT, the realm's state is not in `allowed`, or the realm is
            confirmed and has the new state.
    """
    peers = linker.peers

    def change(tx: Connection, now: int) -> KnownRealm:
        known = realm_trust.meant(tx, name)
        if known.state not in allowed or (known.state == state and known.vouched):
            raise ChatError(ErrorCode.CONFLICT, f"{known.name} is {known.state}")
        if state == ACTIVE:
            realm_trust.vouch(tx, known.id, linker.services.identity.local_name)
        return realms.change(tx, known.id, state=state)

    known: KnownRealm = await linker.services.journal.write(change)
    peers.upsert(known)
    return known


async def remove(linker: Linker, name: str) -> tuple[KnownRealm, int]:
    """Remove a realm; its key and its conversations are kept.

    Returns:
        The realm, and the number of rows for it that were queued and are refused now.

    Raises:
        ChatError: UNKNOWN_REALM.
    """
    peers = linker.peers

    def change(tx: Connection, now: int) -> tuple[KnownRealm, int, list[Item]]:
        known = realm_trust.meant(tx, name)
        if known.state == REMOVED:
            raise unknown_realm(name)
        count = outbox_queries.counts(tx).get(known.id, 0)
        told = outbox_rows.read(tx, known.id, 0, MAX_TOLD)
        outbox.refuse_all(tx, known.id, ErrorCode.UNKNOWN_REALM)
        return realms.change(tx, known.id, state=REMOVED), count, told

    known, count, told = await linker.services.journal.write(change)
    peer = peers.upsert(known)
    peer.queued = 0
    for item in told:
        if item.own is not None:
            peers.news.announce_delivery(item.own, ErrorCode.UNKNOWN_REALM, False)
    return known, count


async def retrust(linker: Linker, name: str, wanted: str | None) -> tuple[KnownRealm, str]:
    """Replace the pinned key of a realm by its new key; the old key is refused from then on.

    The new key is the one that answers at the realm's address, or one that is known here under
    another name because the realm has dialled with it. Queued messages go to the new key's owner.

    Args:
        name: The realm's local name.
        wanted: The fingerprint that the new key must have, if the operator gave one.

    Returns:
        The realm, and the name of the removed realm that keeps the old key.

    Raises:
        ChatError: UNKNOWN_REALM; REALM_UNREACHABLE, no realm answered or its key has another
            fingerprint; REALM_EXISTS, the realm still has its old key.
    """
    peers = linker.peers
    peer = peers.find(name)
    if peer is None:
        raise unknown_realm(name)
    key = await _new_key(linker, peer, wanted)
    if wanted is not None and bare(wanted) != bare(fingerprint(key)):
        raise ChatError(
            ErrorCode.REALM_UNREACHABLE,
            f"The key at the address of {peer.known.name} has the fingerprint {fingerprint(key)}, "
            "not the one given; nothing was changed",
        )
    if key == peer.known.public_key:
        raise ChatError(
            ErrorCode.REALM_EXISTS,
            f"{peer.known.name} still has the known key, {fingerprint(key)}; nothing was changed",
        )

    def change(tx: Connection, now: int) -> Outcome:
        home = linker.services.identity.local_name
        known, other = realm_trust.retrust(tx, peer.known.id, key, home, now)
        outbox.refuse_all(tx, other.id, ErrorCode.UNKNOWN_REALM)
        outbox.refuse_posts(tx, known.id, ErrorCode.UNKNOWN_GROUP)
        outbox.renumber(tx, known.id, other.id)
        replica_repair.change_hosts(tx, known.id, other.id)
        return Outcome((known, other), forgotten_realms=(known.name, other.name))

    known, other = (await commit(linker.services.publisher, change)).reply
    for changed in (known, other):
        peers.upsert(changed)
    peers.by_id(other.id).queued = 0
    return known, other.name


async def _new_key(linker: Linker, peer: Peer, wanted: str | None) -> bytes:
    """Return the key with the wanted fingerprint if a peer has it, or the key at the address."""
    peers = linker.peers
    if wanted is not None:
        for other in peers.all_peers():
            if bare(fingerprint(other.known.public_key)) == bare(wanted):
                return other.known.public_key
    known = peer.known
    if known.address is None or known.port is None:
        raise ChatError(
            ErrorCode.REALM_UNREACHABLE,
            f"{known.name} has no address here; it only dials. Let it dial with its new key, then "
            "give the fingerprint that admin realm list shows for that key",
        )

    def judge(key: bytes) -> None:
        raise _Seen(key)

    try:
        endpoint = Endpoint(known.address, known.port, known.tls)
        await linker.dialler.dial(endpoint, judge=judge, turns=linker.dialler.adds)
    except _Seen as seen:
        return seen.key
    except (Unreachable, NotProven) as error:
        raise ChatError(
            ErrorCode.REALM_UNREACHABLE,
            f"No realm answers at {known.shown_address} {known.port} ({error}); nothing was "
            "changed. Try again when it runs",
        ) from None
    raise AssertionError("the judge always leaves")


def bare(text: str) -> str:
    """Return a fingerprint in upper case, without separators."""
    return "".join(c for c in text.upper() if c.isalnum())


def unreachable(where: str) -> ChatError:
    """Return the one error for all failures to connect, so that it cannot scan a network."""
    return ChatError(
        ErrorCode.REALM_UNREACHABLE,
        f"No realm answered at {where}; nothing was added. Check address and port, and try again",
    )
