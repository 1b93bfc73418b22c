"""Groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

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
    GroupPerson,
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
from shared.protocol.values import GroupAddress, fold
from ws_server.context import Abroad, Context, Outcome, handles
from ws_server.federation import elsewhere
from ws_server.federation.hosting import group_person
from ws_server.handlers import lists
from ws_server.handlers.history import inbox_page
from ws_server.listing import ListQuery
from ws_server.publications import membership_changed
from ws_server.store import conversations, markers, membership, standings, users
from ws_server.store.journal import Write
from ws_server.store.membership import GroupChange
from ws_server.store.messages import Draft
from ws_server.store.standings import Standing
from ws_server.store.steps import alone
from ws_server.store.users import User


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
        # Of a change that only the person is told of, not all members were loaded.
        changed = made.group if made.told is None else None
        return Outcome(reply(made), [membership_changed(made)], told, changed)

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
def invitegroup(ctx: Context, request: InviteGroup) -> Write | Abroad:
    account, waits = ctx.user, ctx.realm.invitations_wait
    ctx.realm.limits.invitation(account.id)
    if request.group.realm or request.user.realm:
        return Abroad(elsewhere.invite(ctx.realm, account, request.group, request.user))

    name = request.user.user

    def invite(tx: Connection, now: int) -> GroupChange:
        person = users.find(tx, name)
        return membership.invite(tx, account.id, request.group, name, person, now, waits=waits)

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
def leavegroup(ctx: Context, request: LeaveGroup) -> Write | Abroad:
    account = ctx.user
    if request.group.realm:
        return Abroad(elsewhere.leave(ctx.realm, account, request.group))

    def leave(tx: Connection, now: int) -> GroupChange:
        return membership.leave(tx, account.id, request.group)

    return _write(leave, lambda made: GroupLeft(made.group.address(0)))


@handles(Kick)
def kick(ctx: Context, request: Kick) -> Write | Abroad:
    return _govern(ctx, request, membership.kick, membership.REMOVED)


@handles(Ban)
def ban(ctx: Context, request: Ban) -> Write | Abroad:
    return _govern(ctx, request, membership.ban, membership.BANNED)


@handles(Unban)
def unban(ctx: Context, request: Unban) -> Write | Abroad:
    return _govern(ctx, request, membership.unban, membership.UNBANNED)


def _govern(
    ctx: Context,
    request: Kick | Ban | Unban,
    rule: Callable[[Connection, int, GroupAddress, str, User | None], GroupChange],
    answer: str,
) -> Write | Abroad:
    """Return what an owner's command does, in a group hosted here or elsewhere."""
    account, group, user = ctx.user, request.group, request.user
    if group.realm:
        return Abroad(elsewhere.govern(ctx.realm, account, request, answer))

    def change(tx: Connection, now: int) -> GroupChange:
        # A person of another realm may be banned before anybody here heard of them.
        find = partial(users.note_at, now=now) if isinstance(request, Ban) else users.find_at
        return rule(tx, account.id, group, str(user), find(tx, user))

    def reply(made: GroupChange) -> Reply:
        assert made.person is not None
        return group_person(made.group.address(0), made.person.name, answer)

    return _write(change, reply)


@handles(Accept)
def accept(ctx: Context, request: Accept) -> Write | Abroad:
    account, group = ctx.user, request.group
    if group.realm:
        return Abroad(elsewhere.accept(ctx.realm, account, group))

    def join(tx: Connection, now: int) -> GroupChange:
        return membership.accept(tx, users.existing(tx, account.name), group)

    return _write(join, lambda made: InvitationAccepted(made.group.address(0)))


@handles(Decline)
def decline(ctx: Context, request: Decline) -> Write | Abroad:
    account, group = ctx.user, request.group
    if group.realm:
        return Abroad(elsewhere.decline(ctx.realm, account, group))

    def stay_out(tx: Connection, now: int) -> GroupChange:
        return membership.decline(tx, account.id, group)

    return _write(stay_out, lambda made: InvitationDeclined(made.group.address(0)))
