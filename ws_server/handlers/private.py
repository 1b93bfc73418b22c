"""Handlers of the commands about private chats."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from shared.protocol.commands.messages import Page
from shared.protocol.commands.private import Inbox, ListPc, PrivateChat, PrivateChats, Send
from ws_server.context import Context, handles
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.store import conversation_summaries
from ws_server.store.conversation_summaries import Standing
from ws_server.store.drafts import Draft
from ws_server.store.entries import Mutation
from ws_server.store.message_content import MessageContent


@handles(Send, pipelined=True)
def send(ctx: Context, request: Send) -> Draft:
    content = MessageContent(request.text, None, request.bot is True)
    return Draft(ctx.user.id, request.to, content, request.idempotency_key)


@handles(Inbox)
async def inbox(ctx: Context, request: Inbox) -> Page | Mutation:
    return await inbox_page(ctx, request.user, request.before, request.limit)


@handles(ListPc)
async def listpc(ctx: Context, request: ListPc) -> PrivateChats:
    reader = ctx.user.id

    def shown(tx: Connection, found: list[Standing]) -> Iterator[tuple[PrivateChat, int]]:
        last = conversation_summaries.newest(tx, reader, found)
        for s in found:
            newest = last.get(s.id)
            yield (
                PrivateChat(
                    conversation=s.address,
                    last_seq=s.last_seq,
                    read_seq=s.read_seq,
                    unread=s.unread,
                    other_received_seq=s.other_received_seq or 0,
                    other_read_seq=s.other_read_seq or 0,
                    last=newest,
                ),
                lists.size_of_chat(newest),
            )

    query = lists.conversations(ctx, request.realm, shown, groups=False)
    page = await lists.read(ctx, request, query, request.after)
    return PrivateChats(page.rows, page.more, page.begun_anew)
