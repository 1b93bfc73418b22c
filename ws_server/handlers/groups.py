"""Handlers of the commands about groups."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection

from shared.protocol.commands.groups import (
    JOINING,
    Accept,
    Ban,
    ChooseGroupHistory,
    CreateGroup,
    Decline,
    GroupChat,
    GroupChats,
    GroupCreated,
    GroupHistoryChosen,
    GroupLeft,
    GroupMember,
    GroupMembers,
    InboxGroup,
    InvitationAccepted,
    InvitationDeclined,
    InviteGroup,
    Kick,
    LeaveGroup,
    ListGroup,
    Members,
    SendGroup,
    Unban,
)
from shared.protocol.commands.messages import Page
from shared.protocol.records import Reply
from shared.protocol.values import fold
from ws_server import hosted_groups
from ws_server.context import Context, RemoteReply, handles
from ws_server.federation.groups import remote_group_commands
from ws_server.federation.links.services import LinkServices
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.listing import Listing
from ws_server.net.session import Account
from ws_server.outcome import Outcome
from ws_server.store import conversation_summaries
from ws_server.store.conversation_summaries import Standing
from ws_server.store.drafts import Draft
from ws_server.store.entries import Mutation
from ws_server.store.groups import member_pages
from ws_server.store.groups.group_changes import GroupChange
from ws_server.store.message_content import MessageContent

Changing = Mutation | RemoteReply | Awaitable[Mutation]
"""A change of a group: here, in another realm, or here after a wait for the rate limit."""
OfGroup = TypeVar("OfGroup", LeaveGroup, ChooseGroupHistory, Kick | Ban | Unban, Accept, Decline)
"""A command about one group."""


def role(owner: bool) -> str:
    """Return the name of a member's role on the wire."""
    return "owner" if owner else "member"


@handles(CreateGroup)
def creategroup(ctx: Context, request: CreateGroup) -> Mutation | RemoteReply:
    account = ctx.user
    if request.realm is not None and fold(request.realm) != ctx.realm.local_name:
        return RemoteReply(
            remote_group_commands.create(ctx.realm.federation, account, request.realm, request.name)
        )

    def reply(tx: Connection, made: GroupChange) -> Reply:
        return GroupCreated(made.group.address(0), made.group.name)

    rule = hosted_groups.create(account.id, request.name)
    return Mutation(hosted_groups.change(rule, reply))


@handles(ListGroup)
async def listgroup(ctx: Context, request: ListGroup) -> GroupChats:
    reader = ctx.user.id

    def shown(tx: Connection, found: list[Standing]) -> Iterator[tuple[GroupChat, int]]:
        last = conversation_summaries.newest(tx, reader, found)
        sizes = conversation_summaries.sizes(tx, found)
        for s in found:
            newest = last.get(s.id)
            yield (
                GroupChat(
                    group=s.address,
                    name=s.name or "",
                    role="invited" if s.invited else role(s.owner),
                    members=sizes.get(s.id, 0),
                    last_seq=s.last_seq,
                    read_seq=s.read_seq,
                    unread=s.unread,
                    last=newest,
                    history=JOINING if s.history_from_joining else None,
                ),
                lists.size_of_chat(newest),
            )

    query = lists.conversations(ctx, request.realm, shown, groups=True)
    page = await lists.read(ctx, request, query, request.after)
    return GroupChats(page.rows, page.more, page.begun_anew)


@handles(InviteGroup)
def invitegroup(ctx: Context, request: InviteGroup) -> Changing:
    account, waits = ctx.user, ctx.realm.invitations_wait
    ctx.realm.limits.invitation(account.id)
    if request.group.realm or request.user.realm:
        return RemoteReply(
            remote_group_commands.invite(ctx.realm.federation, account, request.group, request.user)
        )

    person = hosted_groups.Addressed(request.user)
    rule = hosted_groups.invite(account.id, request.group, person, waits=waits)
    return _in_turn(ctx, hosted_groups.change(rule, hosted_groups.invited))


@handles(SendGroup, pipelined=True)
def sendg(ctx: Context, request: SendGroup) -> Draft:
    content = MessageContent(request.text, None, request.bot is True)
    return Draft(ctx.user.id, request.group, content, request.idempotency_key)


@handles(InboxGroup)
async def inboxgroup(ctx: Context, request: InboxGroup) -> Page | Mutation:
    return await inbox_page(ctx, request.group, request.before, request.limit)


@handles(Members)
async def members(ctx: Context, request: Members) -> GroupMembers:
    account, group = ctx.user, request.group
    begun = lists.begun_list(ctx, request)
    ends = begun.ends if begun is not None and begun.of == group else {}
    found = await ctx.realm.database.read(member_pages.page, account.id, group, request.after, ends)
    rest = None
    if found.more:
        last = found.readers[-1]
        rest = Listing(group, array("q"), {**ends, fold(last.address): last.place})
    lists.keep(ctx, request, account, rest)
    return GroupMembers(
        [GroupMember(one.address, role(one.owner), one.read_seq) for one in found.readers],
        True if found.more else None,
        str(request.after) if request.after is not None and found.is_first else "",
    )


@handles(LeaveGroup)
def leavegroup(ctx: Context, request: LeaveGroup) -> Changing:
    rule = hosted_groups.leave(ctx.user.id, request.group)
    return _change(ctx, request, remote_group_commands.leave, rule, _of_group(GroupLeft))


@handles(Kick)
def kick(ctx: Context, request: Kick) -> Changing:
    return _govern(ctx, request)


@handles(Ban)
def ban(ctx: Context, request: Ban) -> Changing:
    return _govern(ctx, request)


@handles(Unban)
def unban(ctx: Context, request: Unban) -> Changing:
    return _govern(ctx, request)


@handles(ChooseGroupHistory)
def grouphistory(ctx: Context, request: ChooseGroupHistory) -> Changing:
    history = request.history
    rule = hosted_groups.choose_history(ctx.user.id, request.group, joining=history == JOINING)
    reply = _of_group(lambda group: GroupHistoryChosen(group, history))
    return _change(ctx, request, remote_group_commands.choose_history, rule, reply)


def _govern(ctx: Context, request: Kick | Ban | Unban) -> Changing:
    """Return the result of an owner's command, in a group hosted here or elsewhere."""
    command, person = request.spec.name, hosted_groups.Addressed(request.user)
    rule = hosted_groups.govern(command, ctx.user.id, request.group, person)
    reply = hosted_groups.governed(command)
    return _change(ctx, request, remote_group_commands.govern, rule, reply)


@handles(Accept)
def accept(ctx: Context, request: Accept) -> Changing:
    rule = hosted_groups.accept(ctx.user.name, request.group)
    return _change(ctx, request, remote_group_commands.accept, rule, _of_group(InvitationAccepted))


@handles(Decline)
def decline(ctx: Context, request: Decline) -> Changing:
    rule = hosted_groups.decline(ctx.user.id, request.group)
    return _change(ctx, request, remote_group_commands.decline, rule, _of_group(InvitationDeclined))


def _change(
    ctx: Context,
    request: OfGroup,
    remote: Callable[[LinkServices, Account, OfGroup], Coroutine[Any, Any, Reply]],
    rule: hosted_groups.Rule,
    reply: Callable[[Connection, GroupChange], Reply],
) -> Changing:
    """Return the result of a command about a group, hosted here or elsewhere.

    Args:
        remote: Carries the command out through the group's host.
        rule, reply: Carry it out here, as in `hosted_groups.change`.
    """
    if request.group.realm:
        return RemoteReply(remote(ctx.realm.federation, ctx.user, request))
    return _in_turn(ctx, hosted_groups.change(rule, reply))


def _of_group(reply: Callable[[str], Reply]) -> Callable[[Connection, GroupChange], Reply]:
    """Return the function that makes a reply from the group's address alone."""
    return lambda tx, made: reply(made.group.address(0))


def _in_turn(ctx: Context, change: Callable[[Connection, int], Outcome]) -> Changing:
    """Return a change that waits until the rate limit of the caller's network allows it.

    Raises:
        ChatError: RATE_LIMITED.
    """
    wait = ctx.realm.limits.group_change(ctx.session.client.address)

    async def later() -> Mutation:
        await asyncio.sleep(wait)
        return Mutation(change)

    return later() if wait else Mutation(change)
