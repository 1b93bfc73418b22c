"""The operator's commands about other realms: which may link, and with which key."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection

from shared.protocol.errors import ChatError
from shared.protocol.values import NAME as NAME_OF_REALM
from shared.protocol.values import BadValue
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, in_realm
from ws_server.federation import peer_admin
from ws_server.federation.handshake.link_check import probe
from ws_server.federation.peer import Peer
from ws_server.key import fingerprint
from ws_server.realm import Realm
from ws_server.store.federation import own_name
from ws_server.store.federation.realms import ACTIVE, BLOCKED, PENDING

NAME = Argument("name", "the realm's name, shown by realm list")
SKEW = 300.0
"""Tolerated difference of clocks in seconds."""
FINGERPRINT = Argument("fingerprint", "fingerprint that the new key must have", required=False)


@in_realm("realm list")
async def list_(realm: Realm, given: Given, say: Say) -> None:
    """List this realm and all others, with state, link, address and fingerprint."""
    say(f"{realm.name}: this realm, {fingerprint(realm.peers.public_key)}")
    for peer in realm.peers.all_peers():
        say(line(peer))


def line(peer: Peer) -> str:
    """Return the line that describes a realm."""
    known = peer.known
    parts = [known.state, f"link {'up' if peer.up else 'down'}"]
    if peer.other_key is not None:
        parts.append(f"another key answers there: {fingerprint(peer.other_key)}")
    elif peer.trouble:
        parts.append(peer.trouble)
    if peer.copies:
        parts.append("two servers have its key")
    if peer.copied:
        parts.append("sees another server with this realm's key")
    if known.address:
        parts.append(f"at {known.shown_address} {known.port}")
    if known.own_name != known.name:
        parts.append(f"calls itself {known.own_name}")
    if peer.queued:
        parts.append(f"{peer.queued} queued")
    return f"{known.name}: {', '.join(parts)}, {fingerprint(known.public_key)}"


@in_realm("realm rename", Argument("new", "the new name of this realm"))
async def rename(realm: Realm, given: Given, say: Say) -> None:
    """Rename this realm at its next start; its key and its data stay."""
    new = given["new"]
    if not NAME_OF_REALM.fullmatch(new):
        raise AdminRefused("A realm's name has 1 to 32 of A-Z a-z 0-9 . _ -")

    def change(tx: Connection, now: int) -> bool:
        is_free = not own_name.is_taken(tx, new)
        if is_free:
            own_name.store_name(tx, new)
        return is_free

    if not await realm.journal.write(change):
        raise AdminRefused(f"Another realm is known as {new} here; give this one another name")
    say(f"The realm is named {new} from its next start on; --realm is no longer needed")
    say("Other realms keep its former name; its users keep their accounts and messages")


@in_realm("realm check", running=True)
async def check(realm: Realm, given: Given, say: Say) -> None:
    """Test each link: store one row in each direction and print how long it took."""
    for told in await asyncio.gather(*(_checked(realm, peer) for peer in realm.peers.listed())):
        say(told)


async def _checked(realm: Realm, peer: Peer) -> str:
    """Return a level as in the doctor, the realm's name, and the result."""
    known = peer.known
    if peer.copied:
        return (
            f"fail {known.name}: it sees another server that has this realm's key, a copy of the "
            "data folder: stop one of the two, and see docs/federation.md"
        )
    if peer.copies:
        return (
            f"fail {known.name}: two servers have its key, so messages to its users reach either "
            "one; ask its operator to stop the copy"
        )
    if peer.state == "key changed":
        return (
            f"fail {known.name}: another key answers at its address; ask its operator, and see "
            f"realm retrust {known.name}"
        )
    if known.state == PENDING:
        return f"warn {known.name}: waits for realm approve {known.name}, or realm block"
    if known.state != ACTIVE:
        return f"ok {known.name}: {known.state}"
    if not peer.up:
        why = f" ({peer.trouble})" if peer.trouble else ""
        return f"warn {known.name}: no link{why}, {peer.queued} waiting"
    try:
        trip = await probe(realm.journal, peer)
    except (ChatError, BadValue) as error:
        return f"fail {known.name}: the link is up, but {error}"
    if abs(trip.ahead) > SKEW:
        way = "ahead of" if trip.ahead > 0 else "behind"
        return (
            f"warn {known.name}: its clock is {abs(trip.ahead):.0f} s {way} this one's; if this "
            "machine's is synchronised (see clock), tell its operator"
        )
    return (
        f"ok {known.name}: stored there after {trip.there * 1000:.0f} ms, "
        f"here after {trip.back * 1000:.0f} ms"
    )


@in_realm("realm approve", NAME)
async def approve(realm: Realm, given: Given, say: Say) -> None:
    """Approve a pending realm, or confirm one that no local user has added."""
    known = await peer_admin.change_state(realm.linker, given["name"], (PENDING, ACTIVE), ACTIVE)
    say(f"{known.name} may link; its fingerprint is {fingerprint(known.public_key)}")


@in_realm("realm block", NAME)
async def block(realm: Realm, given: Given, say: Say) -> None:
    """Block a realm: ends its link and refuses its key; messages for it stay queued."""
    known = await peer_admin.change_state(realm.linker, given["name"], (ACTIVE, PENDING), BLOCKED)
    say(f"{known.name} is blocked; realm unblock {known.name} undoes it")


@in_realm("realm unblock", NAME)
async def unblock(realm: Realm, given: Given, say: Say) -> None:
    """Let a blocked realm link again; queued messages are delivered."""
    known = await peer_admin.change_state(realm.linker, given["name"], (BLOCKED,), ACTIVE)
    say(f"{known.name} may link again")


@in_realm("realm remove", NAME)
async def remove(realm: Realm, given: Given, say: Say) -> None:
    """Remove a realm, but keep its key and conversations; queued messages are refused."""
    known, waiting = await peer_admin.remove(realm.linker, given["name"])
    say(f"{known.name} is removed; addrealm {known.name} adds it again, with the same key only")
    if waiting:
        say(f"{waiting} messages that waited for it are refused")


@in_realm("realm retrust", NAME, FINGERPRINT)
async def retrust(realm: Realm, given: Given, say: Say) -> None:
    """Trust a realm's new key; compare the fingerprint with its operator first."""
    known, old = await peer_admin.retrust(realm.linker, given["name"], given.get("fingerprint"))
    say(f"{known.name} now has the fingerprint {fingerprint(known.public_key)}")
    say(f"Its former key is refused; it is listed as {old}")
