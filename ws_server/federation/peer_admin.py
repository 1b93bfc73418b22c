"""Which key is trusted under which name: adding a realm, and what an operator decides about one."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

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
"""Seconds after which `addrealm` says that nobody was reached, whatever the reason."""
OPENING = 0.8
"""Seconds that `addrealm` waits for messages to flow before it answers that the link is down."""
MAX_TOLD = 1_000
"""Messages for a removed realm whose senders are told at once; others see it when they look."""


class _Seen(Exception):
    """Ends a dial once the key there is proven, before that realm learns who asks."""

    def __init__(self, key: bytes) -> None:
        self.key = key


async def add(linker: Linker, name: str, address: str, port: int, wanted: str | None) -> Peer:
    """Make a realm known under a name, or known at another address, once it has proven its key.

    Args:
        address: Its host, with `wss://` before it for TLS.
        wanted: The fingerprint its key must have, if that is known.

    Raises:
        ChatError: REALM_UNREACHABLE, none answered there as wanted; REALM_EXISTS, the name is
            another realm's or the realm has another name; FORBIDDEN, it is blocked here;
            REALM_REFUSED, it answered no.
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
        # However soon that was known: times tell open ports from closed ones.
        await asyncio.sleep(begun + ADD - asyncio.get_running_loop().time())
        raise unreachable(f"{address} {port}") from None
    listener = proven.transcript.listener

    def keep(tx: Connection, now: int) -> tuple[KnownRealm, KnownRealm | None]:
        return realm_trust.keep(
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

    def learn(kept: tuple[KnownRealm, KnownRealm | None]) -> None:
        # First who gives a name away, so that at no time two have it.
        if kept[1] is not None:
            peers.upsert(kept[1])

    try:
        known, _ = await linker.services.journal.write(keep, learn)
    except BaseException:
        peers.start(proven.wire.closed())
        raise
    return await _link(linker, known, proven)


async def _link(linker: Linker, known: KnownRealm, proven: Proven) -> Peer:
    """Make the connection with which a realm was added its link."""
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
    peer.keep_by(asyncio.create_task(dialling.keep(linker, peer, (proven.wire, link))))
    with suppress(TimeoutError):
        async with asyncio.timeout(OPENING):
            await peer.opened.wait()
    return peer


async def change_state(
    linker: Linker, name: str, allowed: tuple[str, ...], state: str
) -> KnownRealm:
    """Let a realm in, or keep it out, at once.

    Args:
        allowed: The states it may have now; the new one if that confirms a stranger's realm.

    Raises:
        ChatError: UNKNOWN_REALM; CONFLICT, it has another state, or is confirmed in this one.
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
    """Forget a realm but for its key and what was written with its people.

    Returns:
        The realm, and how many messages waited for it, which now are refused.

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
    """Pin the key that a realm has now; the one it had is refused from then on.

    That is the key which answers at its address, or one that is known here under another name,
    because the realm has dialled with it. What waits for the realm goes to the new key's owner.

    Args:
        wanted: The fingerprint that the new key must have, if the operator names it.

    Returns:
        The realm, and the name under which the old key is kept, as that of a removed realm.

    Raises:
        ChatError: UNKNOWN_REALM; REALM_UNREACHABLE, no other key was found.
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
            f"{peer.known.name} has the key that is known, {fingerprint(key)}; nothing was changed",
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
    """Return the key named, if a realm here has it, or the one that answers at the address."""
    peers = linker.peers
    if wanted is not None:
        for other in peers.everybody():
            if bare(fingerprint(other.known.public_key)) == bare(wanted):
                return other.known.public_key
    known = peer.known
    if known.address is None or known.port is None:
        raise ChatError(
            ErrorCode.REALM_UNREACHABLE,
            f"{known.name} has no address here, it only dials. Let it dial with its new key, and "
            "name the fingerprint under which it then is in admin realm list",
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
    """Return a fingerprint without what people write between its letters."""
    return "".join(c for c in text.upper() if c.isalnum())


def unreachable(where: str) -> ChatError:
    """Return one refusal for all that can fail, so that nobody scans a network by it."""
    return ChatError(
        ErrorCode.REALM_UNREACHABLE,
        f"No realm answered at {where}; nothing was added. Check address and port, and try again",
    )
