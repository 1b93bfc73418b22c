"""Realms. This server does not link to others yet, and says so."""

from __future__ import annotations

from shared.protocol.commands.realms import AddRealm, ListRealm, Outbox, Realms, ShowOutbox
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.context import Context, handles


@handles(AddRealm)
def addrealm(ctx: Context, request: AddRealm) -> Realms:
    raise ChatError(
        ErrorCode.REALM_UNREACHABLE,
        "This version cannot talk to other realms yet; nothing was added",
    )


@handles(ListRealm)
def listrealm(ctx: Context, request: ListRealm) -> Realms:
    return Realms([])


@handles(ShowOutbox)
def outbox(ctx: Context, request: ShowOutbox) -> Outbox:
    return Outbox([])
