"""Handlers of the commands that another realm sends to open a link."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial

from sqlalchemy import Connection

from shared.addresses import neighbourhood
from shared.protocol import base64
from shared.protocol.commands.links import LinkOffered, LinkOpened, OpenLink, ProveLink
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.audit import Act, Result
from ws_server.context import Context, handles
from ws_server.federation.handshake.handshake_client import HANDSHAKE
from ws_server.federation.handshake.transcript import VERSION, Hello, NotProven, Role, Transcript
from ws_server.net.session import LinkState, Session
from ws_server.settings import is_loopback
from ws_server.store.federation import realm_trust, realms
from ws_server.store.federation.realms import ACTIVE, BLOCKED, PENDING, REMOVED, KnownRealm


def refused(why: str) -> ChatError:
    """Return the refusal of a link."""
    return ChatError(ErrorCode.REALM_REFUSED, why)


@handles(OpenLink)
def link(ctx: Context, request: OpenLink) -> LinkOffered:
    session, realm, peers = ctx.session, ctx.realm, ctx.realm.peers
    if session.account is not None:
        raise refused("This connection is a person's")
    if session.link_state is not None:
        raise refused("A connection sends link once")
    loop = asyncio.get_running_loop()
    state = session.link_state = LinkState(loop.time())
    loop.call_later(HANDSHAKE, _end_unproven, session)
    if request.version != VERSION:
        raise refused(f"Links here are of version {VERSION}")
    if request.key == peers.public_key:
        raise refused("This is the realm itself")
    own = Hello(realm.name, peers.public_key)
    transcript = Transcript(
        Hello(request.name, request.key, request.nonce),
        own,
        request.expects,
        request.port,
        request.scheme == "wss",
    )
    state.offered = transcript
    signature = transcript.sign(realm.identity.key, Role.LISTENER)
    key, nonce, signed = map(base64.written, (own.key, own.nonce, signature))
    return LinkOffered(VERSION, own.realm, key, nonce, signed)


def _end_unproven(session: Session) -> None:
    """Close the connection unless its handshake has completed."""
    if not session.has_ended and not session.known:
        session.outlet.close_with(4500, f"no link within {HANDSHAKE:.0f} s")


@handles(ProveLink)
async def linkproof(ctx: Context, request: ProveLink) -> LinkOpened:
    session, peers = ctx.session, ctx.realm.peers
    state = session.link_state
    if state is None or state.offered is None:
        raise refused("Send link first")
    transcript, state.offered = state.offered, None
    try:
        transcript.check(request.signature, Role.DIALLER)
    except NotProven as why:
        raise refused(f"Not proven: {why}") from None
    peer = peers.by_key(transcript.dialler.key)
    known = await _first_contact(ctx, transcript) if peer is None else peer.known
    if known.state == BLOCKED:
        raise refused("Your realm is blocked here")
    if known.state == REMOVED:
        raise refused("Your realm was removed here; somebody here has to add it again")
    if known.state == PENDING:
        return LinkOpened(PENDING)
    ctx.realm.limits.link(known)
    if known.address is None and transcript.port:
        known = await _note_address(ctx, known, transcript)
    state.accept = partial(
        ctx.realm.linker.accepted,
        *(known.id, session.outlet, transcript, state.dialled_at, copy_context()),
    )
    return LinkOpened(ACTIVE)


async def _first_contact(ctx: Context, transcript: Transcript) -> KnownRealm:
    """Add an unknown realm, as the operator's policy allows."""
    realm, peers = ctx.realm, ctx.realm.peers
    if peers.policy == "closed":
        raise refused("This realm links to no others")
    realm.limits.first_contact(ctx.session.client.address)
    # Only a realm on this machine, not one that a proxy forwards from elsewhere.
    beside = (
        peers.trial
        and is_loopback(ctx.session.client.address)
        and not ctx.session.client.is_forwarded
    )
    is_let_in = peers.policy == "open" or (peers.policy == "trial" and beside)
    state = ACTIVE if is_let_in else PENDING
    idle = peers.idle()

    def meet(tx: Connection, now: int) -> tuple[KnownRealm, KnownRealm | None]:
        return realm_trust.add_from_handshake(
            tx,
            public_key=transcript.dialler.key,
            own_name=transcript.dialler.realm,
            address=ctx.session.client.address if transcript.port else None,
            port=transcript.port or None,
            tls=transcript.tls,
            state=state,
            met_from=neighbourhood(ctx.session.client.address),
            home=realm.local_name,
            trial=beside,
            idle=idle,
            now=now,
        )

    def learn(met: tuple[KnownRealm, KnownRealm | None]) -> None:
        if met[1] is not None:
            peers.forget(met[1].id)

    known, gone = await realm.journal.write(meet, learn)
    instead = "" if gone is None else f" instead of {gone.name}"
    realm.audit.note(
        Act.REALM_CAME,
        Result.DONE,
        address=ctx.session.client.address,
        detail=f"{known.name} {known.state}{instead}",
    )
    return peers.upsert(known).known


async def _note_address(ctx: Context, known: KnownRealm, transcript: Transcript) -> KnownRealm:
    """Store the address and port at which the realm that dialled can be dialled."""
    address = ctx.session.client.address

    def change(tx: Connection, now: int) -> KnownRealm:
        return realms.change(
            tx, known.id, address=address, port=transcript.port, tls=transcript.tls
        )

    changed: KnownRealm = await ctx.realm.journal.write(change)
    return ctx.realm.peers.upsert(changed).known
