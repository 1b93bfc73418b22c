"""Reading of paged lists: private chats, groups, members, and the conversations of `sync`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from shared.protocol.commands.messages import Message
from shared.protocol.spec import Request
from shared.protocol.values import Address, GroupAddress, fold
from ws_server.context import Context
from ws_server.listing import ListedPage, Listing, ListQuery, Row, read_page
from ws_server.net.session import Account
from ws_server.store import conversation_summaries, message_pages
from ws_server.store.conversation_summaries import Standing
from ws_server.store.groups import invitations
from ws_server.store.steps import Steps, alone

LIST_BYTES = 768 * 1024
"""Maximum size of a page in bytes, so that it fits into a frame."""

R = TypeVar("R", bound=Row)
T = TypeVar("T")


async def read(
    ctx: Context,
    request: Request[Any],
    query: ListQuery[R, T],
    after: Address | GroupAddress | None,
) -> ListedPage[T]:
    """Return the page after `after`, and store in the session where the next one begins."""
    account, begun = ctx.user, begun_list(ctx, request)
    address = None if after is None else str(after)
    # Writes between two statements leave no gap: markers and members are those of their own
    # statement, and messages are read up to a fixed last seq.
    page = await ctx.realm.database.look_up(read_page, query, begun, address)
    keep(ctx, request, account, page.rest)
    return page


def begun_list(ctx: Context, request: Request[Any]) -> Listing | None:
    """Return the list that earlier pages of the same command began; None if there is none."""
    answers = ctx.session.partial_answers
    return None if answers is None else answers.lists.get(type(request))


def keep(ctx: Context, request: Request[Any], account: Account, rest: Listing | None) -> None:
    """Store the rest of a list in the session, unless another user has signed in meanwhile."""
    session = ctx.session
    if session.account is not account:
        return
    if rest is not None:
        session.ensure_partial_answers().lists[type(request)] = rest
    elif session.partial_answers is not None:
        session.partial_answers.lists.pop(type(request), None)


def conversations(
    ctx: Context,
    realm: str | None,
    shown: Callable[[Connection, list[Standing]], Iterable[tuple[T, int]]],
    *,
    groups: bool,
) -> ListQuery[Standing, T]:
    """Return the query for a user's private chats or groups.

    Args:
        realm: Restricts the list to one realm.
    """
    reader, home = ctx.user.id, ctx.realm.local_name
    wanted = None if realm is None else fold(realm)
    if wanted == home:
        wanted = ""

    def everything() -> Steps[list[Standing]]:
        found = yield from conversation_summaries.standings(reader, groups=groups)
        if groups:
            found = (yield from alone(invitations.waiting, reader)) + found
        if wanted is None:
            return found
        return [s for s in found if fold(s.address.partition("@")[2]) == wanted]

    def some(ids: Sequence[int]) -> Steps[list[Standing]]:
        found = yield from conversation_summaries.standings(reader, groups=groups, only=ids)
        if groups:
            found += yield from alone(invitations.waiting, reader, ids)
        return found

    return ListQuery(wanted, everything, some, shown, LIST_BYTES)


def size_of_chat(last: Message | None) -> int:
    """Return the approximate size in bytes of a conversation in a list, with its newest message."""
    return 400 + (message_pages.size_on_wire(last) if last else 0)
