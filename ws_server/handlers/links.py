"""What a realm answers to another one that dials it."""

from __future__ import annotations

import logging

from cryptography.exceptions import UnsupportedAlgorithm
from sqlalchemy import Connection

from shared.protocol.commands.links import LinkOffered, LinkOpened, OpenLink, ProveLink
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.context import Context, handles
from ws_server.federation.handshake import VERSION, Hello, NotProven, Role, Transcript
from ws_server.federation.introduce import encoded
from ws_server.store import realms
from ws_server.store.realms import ACTIVE, BLOCKED, PENDING, KnownRealm

log = logging.getLogger(__name__)


def refused(why: str) -> ChatError:
    """Return the answer no to a realm."""
    return ChatError(ErrorCode.REALM_REFUSED, why)


@handles(OpenLink)
def link(ctx: Context, request: OpenLink) -> LinkOffered:
    realm, peers = ctx.realm, ctx.realm.links
    if ctx.session.account is not None:
        raise refused("This connection is a person's")
    if request.version != VERSION:
        raise refused(f"Links here are of version {VERSION}")
    if request.key == peers.public_key:
        raise refused("This is the realm itself")
    if request.expects is not None and request.expects != peers.public_key:
        raise refused("This realm has another key")
    own = Hello(realm.name, peers.public_key)
    transcript = Transcript(
        Hello(request.name, request.key, request.nonce),
        own,
        request.expects,
        request.port,
        request.scheme == "wss",
    )
    ctx.session.offered = transcript
    signature = transcript.sign(realm.key, Role.LISTENER)
    return LinkOffered(VERSION, own.realm, encoded(own.key), encoded(own.nonce), encoded(signature))


@handles(ProveLink)
async def linkproof(ctx: Context, request: ProveLink) -> LinkOpened:
    session, realm = ctx.session, ctx.realm
    transcript, session.offered = session.offered, None
    if transcript is None:
        raise refused("Say link first")
    try:
        transcript.check(request.signature, Role.DIALLER)
    except (NotProven, UnsupportedAlgorithm):
        raise refused("The signature does not fit the key") from None
    known = await realm.database.read(realms.by_key, transcript.dialler.key)
    if known is None or known.state == realms.REMOVED:
        known = await _first_contact(ctx, transcript, known)
    if known.state == BLOCKED:
        raise refused("This realm is blocked here")
    if known.state == PENDING:
        return LinkOpened(PENDING)
    if known.address is None and transcript.port:
        known = await _note_address(ctx, known, transcript)
    session.linking = (known, transcript)
    return LinkOpened(ACTIVE)


async def _first_contact(
    ctx: Context, transcript: Transcript, removed: KnownRealm | None
) -> KnownRealm:
    """Note a realm that was not known, as the operator wants it."""
    realm, peers = ctx.realm, ctx.realm.links
    if peers.policy == "closed" or removed is not None:
        raise refused("This realm links to no others")
    realm.limits.first_contact(ctx.session.address)
    state = ACTIVE if peers.policy == "open" else PENDING

    def add(tx: Connection, now: int) -> KnownRealm:
        name = realms.free_name(tx, transcript.dialler.realm, realm.home)
        return realms.add(
            tx,
            name=name,
            public_key=transcript.dialler.key,
            own_name=transcript.dialler.realm,
            address=ctx.session.address if transcript.port else None,
            port=transcript.port or None,
            tls=transcript.tls,
            state=state,
            now=now,
        )

    known: KnownRealm = await realm.journal.write(add)
    log.info("realm added", extra={"realm": known.name, "state": state})
    peers.know(known)
    return known


async def _note_address(ctx: Context, known: KnownRealm, transcript: Transcript) -> KnownRealm:
    """Learn where a realm can be dialled, from where it dialled."""
    address = ctx.session.address

    def change(tx: Connection, now: int) -> KnownRealm:
        realms.change(tx, known.id, address=address, port=transcript.port, tls=transcript.tls)
        found = realms.by_key(tx, known.public_key)
        assert found is not None
        return found

    changed: KnownRealm = await ctx.realm.journal.write(change)
    return changed
