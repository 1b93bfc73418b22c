"""Groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from shared.protocol.spec import Reply
from shared.protocol.values import fold
from ws_server.context import Abroad, Context, Outcome, handles
from ws_server.federation import elsewhere
from ws_server.federation.hosting import group_person
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.listing import ListQuery
from ws_server.publications import group_changed
from ws_server.store import conversations, markers, membership, standings, users
from ws_server.store.journal import Write
from ws_server.store.membership import GroupChange
from ws_server.store.messages import Draft
from ws_server.store.standings import Standing


def role(owner: bool) -> str:
    """Return what a member is called on the wire."""
    return "owner" if owner else "member"


def _write(
    change: Callable[[Connection, int], GroupChange], reply: Callable[[GroupChange], Reply]
) -> Write:
    """Return the change of a group hosted here, and all that follows from it."""

    def run(tx: Connection, now: int) -> Outcome:
        made = change(tx, now)
        if made.person is None or not made.change:
            return Outcome(reply(made))
        told = membership.tell(tx, made, now)
        event = group_changed(made.group, made.person.name, made.change, made.user_id)
        return Outcome(reply(made), [event], told, made.group)

    return Write(run)


@handles(CreateGroup)
def creategroup(ctx: Context, request: CreateGroup) -> Write | Abroad:
    account = ctx.user
    if request.realm is not None and fold(request.realm) != ctx.realm.home:
        return Abroad(elsewhere.create(ctx.realm, account, request.realm, request.name))

    def create(tx: Connection, now: int) -> GroupChange:
        return membership.create(tx, account.id, request.name, now)

    return _write(create, lambda made: GroupCreated(made.group.address(0), made.group.name))


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

    name = request.user.user

    def invite(tx: Connection, now: int) -> GroupChange:
        person = users.find(tx, name)
        return membership.invite(tx, account.id, request.group, name, person)

    return _write(invite, _of_person)


def _of_person(made: GroupChange) -> GroupPerson:
    assert made.person is not None
    return group_person(made.group.address(0), made.person.name, made.change)


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

    def leave(tx: Connection, now: int) -> GroupChange:
        return membership.leave(tx, account.id, request.group)

    return _write(leave, lambda made: GroupLeft(made.group.address(0)))


@handles(Kick)
def kick(ctx: Context, request: Kick) -> Write | Abroad:
    account = ctx.user
    if request.group.realm:
        return Abroad(elsewhere.kick(ctx.realm, account, request.group, request.user))

    def remove(tx: Connection, now: int) -> GroupChange:
        person = users.find_at(tx, request.user)
        return membership.kick(tx, account.id, request.group, str(request.user), person)

    return _write(remove, _of_person)
