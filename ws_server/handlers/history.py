"""Handlers of history, markers and `sync`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import orjson
from sqlalchemy import Connection

from shared.protocol.commands.history import (
    History,
    Position,
    Read,
    ReadUpTo,
    Received,
    ReceivedUpTo,
    Sync,
    Synced,
)
from shared.protocol.commands.messages import Page
from shared.protocol.records import Reply
from shared.protocol.values import ConversationAddress
from ws_server.context import Context, handles
from ws_server.handlers import lists
from ws_server.listing import ListQuery
from ws_server.net.session import Account
from ws_server.outcome import Outcome
from ws_server.publications import receipts
from ws_server.store import (
    conversation_summaries,
    conversations,
    markers,
    message_pages,
    sync_query,
)
from ws_server.store.conversation_summaries import Standing
from ws_server.store.conversations import Conversation
from ws_server.store.entries import Mutation
from ws_server.store.federation import outbox
from ws_server.store.steps import Steps
from ws_server.store.sync_query import Missed

POSITION_BYTES = 384 * 1024
"""Bytes of positions in one reply to `sync`, besides PAGE_BYTES of messages."""


def tell_realm(
    tx: Connection, account: Account, conversation: Conversation, marks: markers.Markers, now: int
) -> Collection[int]:
    """Enqueue moved markers for the other user's realm; return the realms with new rows."""
    if not marks.changed or conversation.number is not None or not conversation.realms:
        return ()
    if conversation.blockers:
        return ()
    (realm_id,) = conversation.realms
    other_id, other = next((i, m) for i, m in conversation.members.items() if m.realm_id)
    received, read = markers.origin_seqs(tx, conversation.id, other_id, marks)
    if received == 0:
        return ()
    said = {
        "from": account.name,
        "to": other.name.partition("@")[0],
        "received": received,
        "read": read,
    }
    told = outbox.enqueue(tx, realm_id, outbox.RECEIPT, conversation.id, said, now)
    return (realm_id,) if told else ()


async def inbox_page(
    ctx: Context, target: ConversationAddress, before: int | None, limit: int
) -> Page | Mutation:
    """Return a page and mark it read; nothing is written if it was read before."""
    account = ctx.user

    def ask(tx: Connection) -> tuple[Conversation | None, Page, int]:
        found = conversations.find(tx, account.id, target, (account.id,))
        if found is None:
            return None, Page(conversations.known_as(tx, target), [], False), 0
        page = message_pages.page(tx, account.id, found, before=before, limit=limit)
        read_seq = markers.read_seq(tx, account.id, found)
        return found, Page(found.address(account.id), page.messages, page.more), read_seq

    found, page, read_seq = await ctx.realm.database.read(ask)
    seen = page.messages[-1].seq if page.messages else 0
    if found is None or seen <= read_seq:
        return page

    def move(tx: Connection, now: int) -> Outcome:
        marks = markers.mark(tx, account.id, found, read=seen)
        told = tell_realm(tx, account, found, marks, now)
        return Outcome(page, receipts(account, found, marks), told)

    return Mutation(move)


@handles(History)
async def history(ctx: Context, request: History) -> Page:
    reader = ctx.user.id

    def ask(tx: Connection) -> Page:
        found = conversations.find(tx, reader, request.conversation, (reader,))
        if found is None:
            return Page(conversations.known_as(tx, request.conversation), [], False)
        page = message_pages.page(
            tx, reader, found, before=request.before, after=request.after, limit=request.limit
        )
        return Page(found.address(reader), page.messages, page.more)

    return await ctx.realm.database.read(ask)


@handles(Read, pipelined=True)
def read(ctx: Context, request: Read) -> Mutation:
    def answer(address: str, marks: markers.Markers) -> Reply:
        return ReadUpTo(address, marks.read_seq)

    return _move_marker(ctx, request.conversation, answer, read=request.seq)


@handles(Received, pipelined=True)
def received(ctx: Context, request: Received) -> Mutation:
    def answer(address: str, marks: markers.Markers) -> Reply:
        return ReceivedUpTo(address, marks.received_seq)

    return _move_marker(ctx, request.conversation, answer, received=request.seq)


def _move_marker(
    ctx: Context,
    target: ConversationAddress,
    answer: Callable[[str, markers.Markers], Reply],
    **moved: int,
) -> Mutation:
    """Move the markers, with the arguments of `markers.mark`, and reply with the new ones."""
    account = ctx.user

    def move(tx: Connection, now: int) -> Outcome:
        found = conversations.find(tx, account.id, target, (account.id,))
        if found is None:
            return Outcome(answer(conversations.known_as(tx, target), markers.Markers()))
        marks = markers.mark(tx, account.id, found, **moved)
        reply = answer(found.address(account.id), marks)
        told = tell_realm(tx, account, found, marks, now)
        return Outcome(reply, receipts(account, found, marks), told)

    return Mutation(move)


@handles(Sync)
async def sync(ctx: Context, request: Sync) -> Synced:
    reader, epoch = ctx.user.id, ctx.realm.database.history_id
    missed = Missed([], [], False, True)

    def everything() -> Steps[list[Standing]]:
        nonlocal missed
        # Parsed in this thread, as thousands of names need milliseconds.
        have = {
            address.without_local_realm(ctx.realm.local_name): seq
            for address, seq in request.have.items()
        }
        missed = yield from sync_query.missed(reader, have)
        return missed.standings

    def some(ids: Sequence[int]) -> Steps[list[Standing]]:
        return conversation_summaries.standings(reader, only=ids)

    def shown(tx: Connection, found: list[Standing]) -> Iterator[tuple[Position, int]]:
        for s in found:
            position = Position(
                conversation=s.address,
                last_seq=s.last_seq,
                read_seq=s.read_seq,
                unread=s.unread,
                name=s.name,
                other_received_seq=s.other_received_seq,
                other_read_seq=s.other_read_seq,
            )
            yield position, 220 + len(orjson.dumps(s.name))

    query = ListQuery("", everything, some, shown, POSITION_BYTES)
    page = await lists.read(ctx, request, query, request.after)
    recovered = missed.recovered and request.epoch in (None, epoch)
    return Synced(
        conversations=page.rows,
        messages=missed.messages if recovered else [],
        more=missed.more and recovered,
        epoch=epoch,
        recovered=recovered,
        more_conversations=page.more,
    )
