"""Handlers of the commands about groups."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Iterator

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
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.listing import Listing
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
    account = ctx.user
    if request.group.realm:
        return RemoteReply(
            remote_group_commands.leave(ctx.realm.federation, account, request.group)
        )

    return _change(ctx, hosted_groups.leave(account.id, request.group), GroupLeft)


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
    account, history = ctx.user, request.history
    if request.group.realm:
        return RemoteReply(
            remote_group_commands.choose_history(ctx.realm.federation, account, request)
        )
    rule = hosted_groups.choose_history(account.id, request.group, joining=history == JOINING)
    return _change(ctx, rule, lambda group: GroupHistoryChosen(group, history))


def _govern(ctx: Context, request: Kick | Ban | Unban) -> Changing:
    """Return the result of an owner's command, in a group hosted here or elsewhere."""
    account, group, command = ctx.user, request.group, request.spec.name
    if group.realm:
        return RemoteReply(remote_group_commands.govern(ctx.realm.federation, account, request))
    person = hosted_groups.Addressed(request.user)
    rule = hosted_groups.govern(command, account.id, group, person)
    return _in_turn(ctx, hosted_groups.change(rule, hosted_groups.governed(command)))


@handles(Accept)
def accept(ctx: Context, request: Accept) -> Changing:
    account, group = ctx.user, request.group
    if group.realm:
        return RemoteReply(remote_group_commands.accept(ctx.realm.federation, account, group))

    return _change(ctx, hosted_groups.accept(account.name, group), InvitationAccepted)


@handles(Decline)
def decline(ctx: Context, request: Decline) -> Changing:
    account, group = ctx.user, request.group
    if group.realm:
        return RemoteReply(remote_group_commands.decline(ctx.realm.federation, account, group))

    return _change(ctx, hosted_groups.decline(account.id, group), InvitationDeclined)


def _change(ctx: Context, rule: hosted_groups.Rule, reply: Callable[[str], Reply]) -> Changing:
    """Return a change whose reply contains the address of its group."""
    answer = hosted_groups.change(rule, lambda tx, made: reply(made.group.address(0)))
    return _in_turn(ctx, answer)


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
