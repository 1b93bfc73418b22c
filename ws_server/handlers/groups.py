"""Groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.protocol.commands.groups import (
    Accept,
    Ban,
    CreateGroup,
    Decline,
    GroupChat,
    GroupChats,
    GroupCreated,
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
from shared.protocol.spec import Reply
from shared.protocol.values import fold
from ws_server import hosted_groups
from ws_server.context import Context, RemoteReply, handles
from ws_server.federation import remote_group_commands
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.listing import ListQuery
from ws_server.store import conversation_summaries, conversations, markers
from ws_server.store.conversation_summaries import Standing
from ws_server.store.entries import Mutation
from ws_server.store.group_changes import GroupChange
from ws_server.store.messages import Draft
from ws_server.store.steps import alone


def role(owner: bool) -> str:
    """Return what a member is called on the wire."""
    return "owner" if owner else "member"


@handles(CreateGroup)
def creategroup(ctx: Context, request: CreateGroup) -> Mutation | RemoteReply:
    account = ctx.user
    if request.realm is not None and fold(request.realm) != ctx.realm.local_name:
        return RemoteReply(
            remote_group_commands.create(ctx.realm, account, request.realm, request.name)
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
                ),
                lists.size_of_chat(newest),
            )

    query = lists.conversations(ctx, request.realm, shown, groups=True)
    page = await lists.read(ctx, request, query, request.after)
    return GroupChats(page.rows, page.more, page.begun_anew)


@handles(InviteGroup)
def invitegroup(ctx: Context, request: InviteGroup) -> Mutation | RemoteReply:
    account, waits = ctx.user, ctx.realm.invitations_wait
    ctx.realm.limits.invitation(account.id)
    if request.group.realm or request.user.realm:
        return RemoteReply(
            remote_group_commands.invite(ctx.realm, account, request.group, request.user)
        )

    person = hosted_groups.Addressed(request.user)
    rule = hosted_groups.invite(account.id, request.group, person, waits=waits)
    return Mutation(hosted_groups.change(rule, hosted_groups.invited))


@handles(SendGroup, journaled=True)
def sendg(ctx: Context, request: SendGroup) -> Draft:
    key, bot = request.idempotency_key, request.bot is True
    return Draft(ctx.user.id, request.group, request.text, key=key, bot=bot)


@handles(InboxGroup)
async def inboxgroup(ctx: Context, request: InboxGroup) -> Page | Mutation:
    return await inbox_page(ctx, request.group, request.before, request.limit)


@handles(Members)
async def members(ctx: Context, request: Members) -> GroupMembers:
    def everybody(tx: Connection) -> list[_Person]:
        group = conversations.group(tx, ctx.user.id, request.group)
        read = markers.read_marks(tx, group)
        return [
            _Person(user_id, member.name, role(member.owner), read[user_id])
            for user_id, member in group.members.items()
        ]

    def shown(tx: Connection, found: list[_Person]) -> Iterator[tuple[GroupMember, int]]:
        for person in found:
            row = GroupMember(person.address, person.role, person.read_seq)
            yield row, 80 + len(person.address)

    query = ListQuery(
        request.group,
        lambda: alone(everybody),
        lambda ids: alone(everybody),
        shown,
        lists.LIST_BYTES,
    )
    page = await lists.read(ctx, request, query, request.after)
    return GroupMembers(page.rows, page.more, page.begun_anew)


@dataclass(frozen=True, slots=True)
class _Person:
    """One row of a list of members."""

    id: int
    address: str
    role: str
    read_seq: int


@handles(LeaveGroup)
def leavegroup(ctx: Context, request: LeaveGroup) -> Mutation | RemoteReply:
    account = ctx.user
    if request.group.realm:
        return RemoteReply(remote_group_commands.leave(ctx.realm, account, request.group))

    return _change(hosted_groups.leave(account.id, request.group), GroupLeft)


@handles(Kick)
def kick(ctx: Context, request: Kick) -> Mutation | RemoteReply:
    return _govern(ctx, request)


@handles(Ban)
def ban(ctx: Context, request: Ban) -> Mutation | RemoteReply:
    return _govern(ctx, request)


@handles(Unban)
def unban(ctx: Context, request: Unban) -> Mutation | RemoteReply:
    return _govern(ctx, request)


def _govern(ctx: Context, request: Kick | Ban | Unban) -> Mutation | RemoteReply:
    """Return what an owner's command does, in a group hosted here or elsewhere."""
    account, group, command = ctx.user, request.group, request.spec.name
    if group.realm:
        return RemoteReply(remote_group_commands.govern(ctx.realm, account, request))
    person = hosted_groups.Addressed(request.user)
    rule = hosted_groups.govern(command, account.id, group, person)
    return Mutation(hosted_groups.change(rule, hosted_groups.governed(command)))


@handles(Accept)
def accept(ctx: Context, request: Accept) -> Mutation | RemoteReply:
    account, group = ctx.user, request.group
    if group.realm:
        return RemoteReply(remote_group_commands.accept(ctx.realm, account, group))

    return _change(hosted_groups.accept(account.name, group), InvitationAccepted)


@handles(Decline)
def decline(ctx: Context, request: Decline) -> Mutation | RemoteReply:
    account, group = ctx.user, request.group
    if group.realm:
        return RemoteReply(remote_group_commands.decline(ctx.realm, account, group))

    return _change(hosted_groups.decline(account.id, group), InvitationDeclined)


def _change(rule: hosted_groups.Rule, reply: Callable[[str], Reply]) -> Mutation:
    """Return a change that is answered with the address of its group."""
    return Mutation(hosted_groups.change(rule, lambda tx, made: reply(made.group.address(0))))
