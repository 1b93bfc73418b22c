"""Group commands that need another realm: as the group's host, or as an invited user's realm.

All functions raise ChatError: REALM_UNREACHABLE without an answer, or the other realm's refusal.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TypeVar

from sqlalchemy import Connection

from shared.protocol.commands.groups import (
    Accept,
    Ban,
    ChooseGroupHistory,
    Decline,
    GroupCreated,
    GroupHistoryChosen,
    GroupLeft,
    GroupPerson,
    InvitationAccepted,
    InvitationDeclined,
    Kick,
    LeaveGroup,
    Unban,
)
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, BadValue, GroupAddress, fold
from ws_server import hosted_groups
from ws_server.federation.frames.declaring import Shaped
from ws_server.federation.frames.questions import (
    BanQuestion,
    CreateGroupQuestion,
    GroupHistoryQuestion,
    InviteQuestion,
    KickQuestion,
    LeaveQuestion,
    NamedUser,
    Question,
    UnbanQuestion,
    UserQuestion,
)
from ws_server.federation.groups.group_replication import GroupReplication
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import Peer
from ws_server.net.session import Account
from ws_server.outcome import Outcome
from ws_server.publications import commit
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.accounts.users import User
from ws_server.store.conversations import Member
from ws_server.store.federation import replica_repair
from ws_server.store.federation.realms import REMOVED
from ws_server.store.groups import membership
from ws_server.store.ids import new_id

A = TypeVar("A", bound=Shaped)

_GOVERNING = {Kick: KickQuestion, Ban: BanQuestion, Unban: UnbanQuestion}
SAME_REQUEST = 600.0
"""Seconds in which a retry of an unanswered `creategroup` reuses its request id."""


async def create(
    services: LinkServices, account: Account, name: str, group_name: str
) -> GroupCreated:
    """Create a group of a local user in another realm."""
    host = _peer(services, name)
    asked = (account.id, group_name)
    now = time.monotonic()
    # Without an earlier request, `since` is now: 0 would be recent soon after the machine's boot.
    request, since = host.requests.get(asked) or (new_id("r"), now)
    if now - since > SAME_REQUEST:
        request = new_id("r")
    host.requests[asked] = (request, now)
    with host.expecting((account.id, None)):
        answer = await _ask(host, CreateGroupQuestion(account.name, group_name, request))
        await services.peers.vouch(host)
        await GroupReplication(services, host).apply_roster(answer.roster)
    host.requests.pop(asked, None)
    return GroupCreated(str(GroupAddress(answer.roster.group, host.known.name)), answer.roster.name)


async def invite(
    services: LinkServices, account: Account, group: GroupAddress, user: Address
) -> GroupPerson:
    """Add a user to a group, if the group's host or the user is in another realm."""
    if not group.realm:
        return await _invite_here(services, account, group, user)
    host = _peer(services, group.realm)
    name = user.user
    expected: AbstractContextManager[None] = nullcontext()
    if not user.realm:
        person = await services.database.read(_own, account, group, user.user)
        name, expected = person.name, host.expecting((person.id, group.number))
    with expected:
        named = _named(services, host, user, name)
        answer = await _ask(host, InviteQuestion(account.name, group.number, named))
        await services.peers.vouch(host)
        await GroupReplication(services, host).apply_roster(answer.roster)
    name = await services.database.read(conversations.known_as, user)
    return hosted_groups.invitation_answer(_address(host, group), name, answer.roster.change)


def _own(tx: Connection, account: Account, address: GroupAddress, name: str) -> User:
    """Return the local user who is invited to a group of another realm.

    Raises:
        ChatError: as `membership.invite`; the host applies the same rules to its own users.
    """
    person = users.find(tx, name)
    only = (account.id, person.id if person else account.id)
    group = conversations.group(tx, account.id, address, only)
    return membership.invitable(tx, group, account.id, name, person)


async def _invite_here(
    services: LinkServices, account: Account, group: GroupAddress, user: Address
) -> GroupPerson:
    """Add a user of another realm to a group hosted here, once that realm confirms the name."""
    peer = _peer(services, user.realm)

    def look(tx: Connection) -> Member | None:
        person = users.find_at(tx, user)
        only = (account.id, person.id if person else account.id)
        found = conversations.group(tx, account.id, group, only)
        return found.members.get(person.id) if person else None

    # Check membership first, so that a user outside the group cannot probe names in other realms.
    member = await services.database.read(look)
    if member is not None:
        return hosted_groups.invitation_answer(str(group), member.name, "")
    # Send the inviter's name, because the invited user may have blocked them.
    name = (await _ask(peer, UserQuestion(user.user, account.name))).name
    if fold(name) != fold(user.user):
        raise ChatError(ErrorCode.REALM_REFUSED, f"{peer.known.name} answered for another user")

    await services.peers.vouch(peer)

    person = hosted_groups.OfRealm(peer.known.id, name)
    rule = hosted_groups.invite(account.id, group, person, waits=False)
    made = await commit(services.publisher, hosted_groups.change(rule, hosted_groups.invited))
    reply: GroupPerson = made.reply
    return reply


async def govern(
    services: LinkServices, account: Account, request: Kick | Ban | Unban
) -> GroupPerson:
    """Kick, ban or unban a user through the group's host."""
    group, user = request.group, request.user
    host = _peer(services, group.realm)
    named = _named(services, host, user, user.user)
    question = _GOVERNING[type(request)](account.name, group.number, named)
    answer = await _ask(host, question)
    await GroupReplication(services, host).apply_roster(answer.roster)
    name = await services.database.read(conversations.known_as, user)
    return hosted_groups.governing_answer(request.spec.name, _address(host, group), name)


async def choose_history(
    services: LinkServices, account: Account, request: ChooseGroupHistory
) -> GroupHistoryChosen:
    """Set the history that new members see through the group's host."""
    host = _peer(services, request.group.realm)
    question = GroupHistoryQuestion(account.name, request.group.number, request.history)
    answer = await _ask(host, question)
    await GroupReplication(services, host).apply_roster(answer.roster)
    return GroupHistoryChosen(_address(host, request.group), request.history)


async def accept(services: LinkServices, account: Account, request: Accept) -> InvitationAccepted:
    """Accept an invitation to a group of another realm, even while its host is unreachable."""
    group = request.group
    host = _peer(services, group.realm)
    replication = GroupReplication(services, host)
    with suppress(BadValue, ChatError):
        # Refresh the roster first, because the invitation may have been withdrawn.
        await replication.refresh(group.number)
    await replication.accept(group.number, account.id)
    with suppress(BadValue, ChatError):
        await replication.refresh(group.number)
    return InvitationAccepted(_address(host, group))


async def decline(services: LinkServices, account: Account, request: Decline) -> InvitationDeclined:
    """Decline an invitation to a group of another realm; its host is notified in the background."""
    group = request.group
    host = _peer(services, group.realm)
    replication = GroupReplication(services, host)
    await replication.decline(group.number, account.id)
    services.peers.start(replication.turn_away(group.number, account.name))
    return InvitationDeclined(_address(host, group))


async def leave(services: LinkServices, account: Account, request: LeaveGroup) -> GroupLeft:
    """Leave a group of another realm, even if that realm has been removed here."""
    group = request.group
    host = _peer(services, group.realm)
    if host.known.state == REMOVED:
        return await _leave_for_good(services, account, host, group)
    answer = await _ask(host, LeaveQuestion(account.name, group.number))
    await GroupReplication(services, host).apply_roster(answer.roster)
    return GroupLeft(_address(host, group))


async def _leave_for_good(
    services: LinkServices, account: Account, host: Peer, group: GroupAddress
) -> GroupLeft:
    """Leave a group whose host has been removed here."""

    address = _address(host, group)

    def part(tx: Connection, now: int) -> Outcome:
        if not replica_repair.part(tx, host.known, group.number, account.id):
            raise conversations.unknown_group(group)
        return Outcome(GroupLeft(address), forgotten=(address,))

    reply: GroupLeft = (await commit(services.publisher, part)).reply
    return reply


def _address(host: Peer, group: GroupAddress) -> str:
    """Return the address of a group with its host's local name."""
    return str(GroupAddress(group.number, host.known.name))


def _peer(services: LinkServices, name: str) -> Peer:
    peer = services.peers.find(name)
    assert peer is not None, "Realm.local has checked it"
    return peer


def _named(services: LinkServices, host: Peer, user: Address, name: str) -> NamedUser:
    """Return the fields that identify a user to the host."""
    if not user.realm:
        return NamedUser(name, services.identity.public_key)
    if fold(user.realm) == fold(host.known.name):
        return NamedUser(name, None)
    return NamedUser(name, _peer(services, user.realm).known.public_key)


async def _ask(peer: Peer, question: Question[A]) -> A:
    """Return another realm's answer.

    Raises:
        ChatError: as `Peer.ask`; REALM_REFUSED, the answer is malformed.
    """
    try:
        return await peer.ask(question)
    except BadValue as error:
        raise ChatError(
            ErrorCode.REALM_REFUSED, "The other realm sent a malformed answer"
        ) from error
