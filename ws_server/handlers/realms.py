"""Handlers that add and list realms, and list the messages that wait for them."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.protocol.commands.realms import (
    AddRealm,
    ListRealm,
    Outbox,
    Queued,
    Realm,
    RealmAdded,
    Realms,
    ShowOutbox,
)
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.audit import Act, Result
from ws_server.context import Context, RemoteReply, handles
from ws_server.federation import peer_admin
from ws_server.key import fingerprint
from ws_server.store.accounts import users
from ws_server.store.federation import outbox_queries


@handles(AddRealm)
def addrealm(ctx: Context, request: AddRealm) -> RemoteReply:
    return RemoteReply(_add(ctx, request))


async def _add(ctx: Context, request: AddRealm) -> RealmAdded:
    realm, peers = ctx.realm, ctx.realm.peers
    if peers.policy == "closed":
        raise ChatError(ErrorCode.FORBIDDEN, "This realm links to no others")
    if peers.policy == "admin":
        account = await realm.database.read(users.existing, ctx.user.name)
        if not account.admin:
            raise ChatError(ErrorCode.FORBIDDEN, "Only an admin may add realms here")
    if fold(request.name) == realm.local_name:
        raise ChatError(ErrorCode.REALM_EXISTS, f"{request.name} is this realm itself")
    realm.limits.added_realm(ctx.user.id, ctx.session.client.address)
    who = {"address": ctx.session.client.address, "user": ctx.user.name, "detail": request.name}
    try:
        peer = await peer_admin.add(
            realm.linker, request.name, request.address, request.port, request.fingerprint
        )
    except ChatError:
        realm.audit.note(Act.ADD_REALM, Result.REFUSED, **who)
        raise
    realm.audit.note(Act.ADD_REALM, Result.DONE, **who)
    return RealmAdded(
        peer.known.name,
        fingerprint(peer.known.public_key),
        "up" if peer.up else "down",
        None if peer.up else peer.trouble or None,
    )


@handles(ListRealm)
async def listrealm(ctx: Context, request: ListRealm) -> Realms:
    return Realms(
        [
            Realm(
                realm=peer.known.name,
                address=peer.known.shown_address,
                port=peer.known.port or 0,
                fingerprint=fingerprint(peer.known.public_key),
                state=peer.state,
                link=peer.link_state,
                queued=peer.queued,
            )
            for peer in ctx.realm.peers.listed()
        ]
    )


@handles(ShowOutbox)
async def outbox(ctx: Context, request: ShowOutbox) -> Outbox:
    def ask(tx: Connection) -> tuple[list[outbox_queries.WaitingMessage], bool]:
        return outbox_queries.of_sender(tx, ctx.user.id)

    links = ctx.realm.peers
    rows, more = await ctx.realm.database.read(ask)
    peers = {realm_id: links.by_id(realm_id) for realm_id in {row.realm_id for row in rows}}
    return Outbox(
        [
            Queued(
                conversation=row.conversation,
                realm=peers[row.realm_id].known.name,
                message_id=row.message_id,
                since=row.since,
                attempts=peers[row.realm_id].attempts,
                next_try=peers[row.realm_id].next_try,
            )
            for row in rows
        ],
        more or None,
    )
