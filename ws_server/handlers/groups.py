"""Groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from shared.protocol.commands.groups import (
    CreateGroup,
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
from shared.protocol.values import fold
from ws_server.context import Abroad, Context, Outcome, handles
from ws_server.federation import elsewhere
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.listing import ListQuery
from ws_server.publications import group_changed
from ws_server.store import conversations, hosting, markers, standings, users
from ws_server.store.conversations import Conversation
from ws_server.store.journal import Write
from ws_server.store.messages import Draft
from ws_server.store.standings import Standing


def role(owner: bool) -> str:
    """Return what a member is called on the wire."""
    return "owner" if owner else "member"


@handles(CreateGroup)
def creategroup(ctx: Context, request: CreateGroup) -> Write | Abroad:
    account = ctx.user
    if request.realm is not None and fold(request.realm) != ctx.realm.home:
        return Abroad(elsewhere.create(ctx.realm, account, request.realm, request.name))

    def create(tx: Connection, now: int) -> Outcome:
        group = conversations.create_group(tx, account.id, request.name, now)
        reply = GroupCreated(f"#{group.number}", group.name)
        return Outcome(reply, [group_changed(group, account.name, "joined")], changed=group)

    return Write(create)


@handles(ListGroup)
async def listgroup(ctx: Context, request: ListGroup) -> GroupChats:
    reader = ctx.user.id

    def shown(tx: Connection, found: list[Standing]) -> Iterator[tuple[GroupChat, int]]:
        last = standings.newest(tx, reader, found)
        sizes = standings.sizes(tx, found)
        for s in found:
            newest = last.get(s.id)
            yield (
                GroupChat(
                    group=s.address,
                    name=s.name or "",
                    role=role(s.owner),
                    members=sizes[s.id],
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
def invitegroup(ctx: Context, request: InviteGroup) -> Write | Abroad:
    account = ctx.user
    if request.group.realm or request.user.realm:
        return Abroad(elsewhere.invite(ctx.realm, account, request.group, request.user))

    def invite(tx: Connection, now: int) -> Outcome:
        group, user = _group_and_person(tx, account.id, request)
        if user is None:
            raise users.unknown_user(request.user.user)
        if user.id in group.members:
            return Outcome(GroupPerson(f"#{group.number}", user.name))
        group = conversations.join(tx, group, user)
        told = hosting.tell(tx, group, "joined", now)
        reply = GroupPerson(f"#{group.number}", user.name, "is now in")
        return Outcome(reply, [group_changed(group, user.name, "joined")], told, group)

    return Write(invite)


def _group_and_person(
    tx: Connection, me: int, request: InviteGroup | Kick
) -> tuple[Conversation, users.User | None]:
    """Return the group with just oneself and the person named, if there is such a person."""
    user = None
    if request.user.realm:
        user = users.known(tx, request.user)
    else:
        user = users.find(tx, request.user.user)
    both = (me, user.id if user else me)
    return conversations.group(tx, me, request.group, both), user


@handles(SendGroup, journaled=True)
def sendg(ctx: Context, request: SendGroup) -> Draft:
    key, bot = request.idempotency_key, request.bot is True
    return Draft(ctx.user.id, request.group, request.text, key=key, bot=bot)


@handles(InboxGroup)
async def inboxgroup(ctx: Context, request: InboxGroup) -> Page | Write:
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

    def some(tx: Connection, ids: Sequence[int]) -> list[_Person]:
        return everybody(tx)

    def shown(tx: Connection, found: list[_Person]) -> Iterator[tuple[GroupMember, int]]:
        for person in found:
            row = GroupMember(person.address, person.role, person.read_seq)
            yield row, 80 + len(person.address)

    query = ListQuery(request.group, everybody, some, shown, lists.LIST_BYTES)
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
def leavegroup(ctx: Context, request: LeaveGroup) -> Write | Abroad:
    account = ctx.user
    if request.group.realm:
        return Abroad(elsewhere.leave(ctx.realm, account, request.group))

    def leave(tx: Connection, now: int) -> Outcome:
        group = conversations.group(tx, account.id, request.group, (account.id,))
        group = conversations.leave(tx, group, account.id)
        told = hosting.tell(tx, group, "left", now)
        event = group_changed(group, account.name, "left", account.id)
        return Outcome(GroupLeft(f"#{group.number}"), [event], told, group)

    return Write(leave)


@handles(Kick)
def kick(ctx: Context, request: Kick) -> Write | Abroad:
    account = ctx.user
    if request.group.realm:
        return Abroad(elsewhere.kick(ctx.realm, account, request.group, request.user))

    def remove(tx: Connection, now: int) -> Outcome:
        group, user = _group_and_person(tx, account.id, request)
        if not group.members[account.id].owner:
            raise conversations.not_owner(group)
        if user is None:
            raise users.unknown_user(request.user.user)
        if user.id == account.id:
            raise ChatError(ErrorCode.FORBIDDEN, f"To go yourself: leavegroup #{group.number}")
        if user.id not in group.members:
            raise ChatError(ErrorCode.UNKNOWN_USER, f"{user.name} is not in #{group.number}")
        group = conversations.leave(tx, group, user.id)
        told = hosting.tell(tx, group, "removed", now, [user.realm_id])
        event = group_changed(group, user.name, "removed", user.id)
        reply = GroupPerson(f"#{group.number}", user.name, "is no longer in")
        return Outcome(reply, [event], told, group)

    return Write(remove)
