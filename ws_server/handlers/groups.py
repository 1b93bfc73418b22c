"""Groups."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.protocol.commands.groups import (
    CreateGroup,
    GroupChanged,
    GroupChat,
    GroupChats,
    GroupCreated,
    GroupLeft,
    GroupMember,
    GroupMembers,
    GroupPerson,
    InboxGroup,
    InviteGroup,
    Kick,
    LeaveGroup,
    ListGroup,
    Members,
    SendGroup,
)
from shared.protocol.commands.messages import Page
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.context import Context, Outcome, Publication, handles
from ws_server.handlers.history import inbox_page
from ws_server.handlers.private import fitting
from ws_server.store import conversations, markers, standings, users
from ws_server.store.conversations import Conversation
from ws_server.store.journal import Write
from ws_server.store.messages import Draft


def role(owner: bool) -> str:
    """Return what a member is called on the wire."""
    return "owner" if owner else "member"


def changed(group: Conversation, user: str, change: str, *also: int) -> Publication:
    """Tell the members, and whoever just went, that a group changed."""
    event = GroupChanged(f"#{group.number}", group.name, user, change)
    return Publication(event, [*group.members, *also])


@handles(CreateGroup)
def creategroup(ctx: Context, request: CreateGroup) -> Write:
    account = ctx.user

    def create(tx: Connection, now: int) -> Outcome:
        group = conversations.create_group(tx, account.id, request.name, now)
        reply = GroupCreated(f"#{group.number}", group.name)
        return Outcome(reply, [changed(group, account.name, "joined")], group)

    return Write(create)


@handles(ListGroup)
async def listgroup(ctx: Context, request: ListGroup) -> GroupChats:
    reader = ctx.user.id

    def ask(tx: Connection) -> list[GroupChat]:
        found = standings.standings(tx, reader, groups=True)
        last = standings.newest(tx, reader, found)
        return [
            GroupChat(
                group=s.address,
                name=s.name or "",
                role=role(s.owner),
                members=s.members,
                last_seq=s.last_seq,
                read_seq=s.read_seq,
                unread=s.unread,
                last=last.get(s.conversation_id),
            )
            for s in found
        ]

    chats = await ctx.realm.database.read(ask)
    shown = fitting((chat, chat.last) for chat in chats)
    return GroupChats(shown, True if len(shown) < len(chats) else None)


@handles(InviteGroup)
def invitegroup(ctx: Context, request: InviteGroup) -> Write:
    account = ctx.user

    def invite(tx: Connection, now: int) -> Outcome:
        group, user = _group_and_person(tx, account.id, request)
        if user is None:
            raise users.unknown_user(request.user.user)
        if user.id in group.members:
            return Outcome(GroupPerson(f"#{group.number}", user.name))
        group = conversations.join(tx, group, user)
        reply = GroupPerson(f"#{group.number}", user.name, "is now in")
        return Outcome(reply, [changed(group, user.name, "joined")], group)

    return Write(invite)


def _group_and_person(
    tx: Connection, me: int, request: InviteGroup | Kick
) -> tuple[Conversation, users.User | None]:
    """Return the group with just oneself and the person named, if there is such a person."""
    user = users.find(tx, request.user.user)
    both = (me, user.id if user else me)
    return conversations.group(tx, me, request.group, both), user


@handles(SendGroup, journaled=True)
def sendg(ctx: Context, request: SendGroup) -> Draft:
    return Draft(ctx.user.id, request.group, request.text, key=request.idempotency_key)


@handles(InboxGroup)
async def inboxgroup(ctx: Context, request: InboxGroup) -> Page | Write:
    return await inbox_page(ctx, request.group, request.before, request.limit)


@handles(Members)
async def members(ctx: Context, request: Members) -> GroupMembers:
    reader = ctx.user.id

    def ask(tx: Connection) -> list[GroupMember]:
        group = conversations.group(tx, reader, request.group)
        read = markers.read_marks(tx, group)
        return [
            GroupMember(member.name, role(member.owner), read[user_id])
            for user_id, member in group.members.items()
        ]

    return GroupMembers(await ctx.realm.database.read(ask))


@handles(LeaveGroup)
def leavegroup(ctx: Context, request: LeaveGroup) -> Write:
    account = ctx.user

    def leave(tx: Connection, now: int) -> Outcome:
        group = conversations.group(tx, account.id, request.group, (account.id,))
        group = conversations.leave(tx, group, account.id)
        event = changed(group, account.name, "left", account.id)
        return Outcome(GroupLeft(f"#{group.number}"), [event], group)

    return Write(leave)


@handles(Kick)
def kick(ctx: Context, request: Kick) -> Write:
    account = ctx.user

    def remove(tx: Connection, now: int) -> Outcome:
        group, user = _group_and_person(tx, account.id, request)
        if not group.members[account.id].owner:
            raise ChatError(ErrorCode.FORBIDDEN, f"Only the owner of #{group.number} may do this")
        if user is None:
            raise users.unknown_user(request.user.user)
        if user.id == account.id:
            raise ChatError(ErrorCode.FORBIDDEN, f"To go yourself: leavegroup #{group.number}")
        if user.id not in group.members:
            raise ChatError(ErrorCode.UNKNOWN_USER, f"{user.name} is not in #{group.number}")
        group = conversations.leave(tx, group, user.id)
        event = changed(group, user.name, "removed", user.id)
        reply = GroupPerson(f"#{group.number}", user.name, "is no longer in")
        return Outcome(reply, [event], group)

    return Write(remove)
