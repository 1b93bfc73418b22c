"""Handlers of the commands about blocks."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.protocol.commands.blocks import Block, BlockedUsers, ListBlocked, Preference, Unblock
from shared.protocol.values import Address
from ws_server.context import Context, handles
from ws_server.outcome import Outcome, Publication
from ws_server.store.accounts import blocks
from ws_server.store.entries import Mutation


@handles(Block)
def block(ctx: Context, request: Block) -> Mutation:
    return _set_blocked(ctx.user.id, request.user, True)


@handles(Unblock)
def unblock(ctx: Context, request: Unblock) -> Mutation:
    return _set_blocked(ctx.user.id, request.user, False)


def _set_blocked(user_id: int, address: Address, blocked: bool) -> Mutation:
    def change(tx: Connection, now: int) -> Outcome:
        name, changed = blocks.set_blocked(tx, user_id, address, blocked, now)
        event = Preference(name, blocked)
        return Outcome(
            BlockedUsers(blocks.blocked_by(tx, user_id), event.sentence()),
            [Publication(event, (user_id,))] if changed else [],
        )

    return Mutation(change)


@handles(ListBlocked)
async def blocked(ctx: Context, request: ListBlocked) -> BlockedUsers:
    return BlockedUsers(await ctx.realm.database.read(blocks.blocked_by, ctx.user.id))
