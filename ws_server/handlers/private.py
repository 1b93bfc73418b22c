"""Private chats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy import Connection

from shared.protocol.commands.messages import Message, Page
from shared.protocol.commands.private import Inbox, ListPc, PrivateChat, PrivateChats, Send
from shared.protocol.values import fold
from ws_server.context import Context, handles
from ws_server.handlers.history import inbox_page
from ws_server.store import pages, standings
from ws_server.store.journal import Write
from ws_server.store.messages import Draft
from ws_server.store.standings import Standing

T = TypeVar("T")


@handles(Send, journaled=True)
def send(ctx: Context, request: Send) -> Draft:
    key, bot = request.idempotency_key, request.bot is True
    return Draft(ctx.user.id, request.to, request.text, key=key, bot=bot)


@handles(Inbox)
async def inbox(ctx: Context, request: Inbox) -> Page | Write:
    return await inbox_page(ctx, request.user, request.before, request.limit)


@handles(ListPc)
async def listpc(ctx: Context, request: ListPc) -> PrivateChats:
    reader = ctx.user.id

    def ask(tx: Connection) -> list[PrivateChat]:
        found = of_realm(
            standings.standings(tx, reader, groups=False), request.realm, ctx.realm.home
        )
        last = standings.newest(tx, reader, found)
        return [
            PrivateChat(
                conversation=s.address,
                last_seq=s.last_seq,
                read_seq=s.read_seq,
                unread=s.unread,
                other_received_seq=s.other_received_seq or 0,
                other_read_seq=s.other_read_seq or 0,
                last=last.get(s.conversation_id),
            )
            for s in found
        ]

    chats = await ctx.realm.database.read(ask)
    shown = fitting((chat, chat.last) for chat in chats)
    return PrivateChats(shown, True if len(shown) < len(chats) else None)


def of_realm(found: list[Standing], realm: str | None, home: str) -> list[Standing]:
    """Return those of a realm; all if none is asked for."""
    if realm is None:
        return found
    wanted = "" if fold(realm) == home else fold(realm)
    return [s for s in found if fold(s.address.partition("@")[2]) == wanted]


def fitting(rows: Iterable[tuple[T, Message | None]]) -> list[T]:
    """Return the first rows of a list that fit one frame, each given with its newest message."""
    shown: list[T] = []
    size = 0
    for row, last in rows:
        size += 400 + (pages.size_on_wire(last) if last else 0)
        if size > standings.LIST_BYTES:
            break
        shown.append(row)
    return shown
