"""Group commands that need another realm: its host's consent, or its word that somebody exists."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from shared.protocol import base64
from shared.protocol.commands.groups import (
    Ban,
    GroupCreated,
    GroupLeft,
    GroupPerson,
    InvitationAccepted,
    InvitationDeclined,
    Kick,
    Unban,
)
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import NAME, Address, BadValue, GroupAddress, fold
from ws_server import hosted_groups
from ws_server.context import Outcome
from ws_server.federation import inbound_rows
from ws_server.federation.group_replication import GroupReplication
from ws_server.net.session import Account
from ws_server.publications import commit
from ws_server.store import conversations, membership, replica_repair, users
from ws_server.store.conversations import Member
from ws_server.store.ids import new_id
from ws_server.store.realms import REMOVED
from ws_server.store.rosters import Roster
from ws_server.store.users import User

if TYPE_CHECKING:
    from ws_server.federation.peer import Peer
    from ws_server.realm import Realm

SAME_REQUEST = 600.0
"""Seconds in which a create that got no answer is the same request when it is tried again."""
MAX_REQUESTS = 1_000
_requests: dict[tuple[int, int, str], tuple[str, float]] = {}


async def create(realm: Realm, account: Account, name: str, group_name: str) -> GroupCreated:
    """Have another realm host a new group of somebody here."""
    host = _peer(realm, name)
    asked = (account.id, host.known.id, group_name)
    now = time.monotonic()
    # Never asked is no time at all: soon after the machine's boot 0 is not long ago.
    request, since = _requests.get(asked) or (new_id("r"), now)
    if now - since > SAME_REQUEST:
        request = new_id("r")
    _requests[asked] = (request, now)
    if len(_requests) > MAX_REQUESTS:
        del _requests[next(iter(_requests))]
    with host.expecting((account.id, None)):
        answer = await realm.links.ask(
            host.known.id, "creategroup", by=account.name, name=group_name, request=request
        )
        await realm.links.vouch(host)
        roster = await _apply_roster(realm, host, answer)
    _requests.pop(asked, None)
    return GroupCreated(str(GroupAddress(roster.group, host.known.name)), roster.name)


async def invite(realm: Realm, account: Account, group: GroupAddress, user: Address) -> GroupPerson:
    """Add somebody to a group of which host or person are of another realm."""
    if not group.realm:
        return await _invite_here(realm, account, group, user)
    host = _peer(realm, group.realm)
    name = user.user
    expected: AbstractContextManager[None] = nullcontext()
    if not user.realm:
        person = await realm.database.read(_own, account, group, user.user)
        name, expected = person.name, host.expecting((person.id, group.number))
    with expected:
        answer = await realm.links.ask(
            host.known.id,
            "invite",
            by=account.name,
            group=group.number,
            user=_named(realm, host, user, name),
        )
        await realm.links.vouch(host)
        roster = await _apply_roster(realm, host, answer)
    name = await realm.database.read(conversations.known_as, user)
    return hosted_groups.invitation_answer(_address(host, group), name, roster.change)


def _own(tx: Connection, account: Account, address: GroupAddress, name: str) -> User:
    """Return a person of this realm who is invited to a group of another one.

    Raises:
        ChatError: as `membership.invite`, whose rules the host applies to its own people.
    """
    person = users.find(tx, name)
    only = (account.id, person.id if person else account.id)
    group = conversations.group(tx, account.id, address, only)
    return membership.invitable(tx, group, account.id, name, person)


async def _invite_here(
    realm: Realm, account: Account, group: GroupAddress, user: Address
) -> GroupPerson:
    """Add a person of another realm to a group hosted here, once that realm knows them."""
    peer = _peer(realm, user.realm)

    def look(tx: Connection) -> Member | None:
        person = users.find_at(tx, user)
        only = (account.id, person.id if person else account.id)
        found = conversations.group(tx, account.id, group, only)
        return found.members.get(person.id) if person else None

    # First, so that whoever is in no such group learns nothing of other realms by it.
    member = await realm.database.read(look)
    if member is not None:
        return hosted_groups.invitation_answer(str(group), member.name, "")
    # By whom, because the person may block them.
    answer = await realm.links.ask(peer.known.id, "user", name=user.user, by=account.name)
    name = answer.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name) or fold(name) != fold(user.user):
        raise ChatError(ErrorCode.REALM_REFUSED, f"{peer.known.name} answered for somebody else")

    await realm.links.vouch(peer)

    person = hosted_groups.OfRealm(peer.known.id, name)
    rule = hosted_groups.invite(account.id, group, person, waits=False)
    made = await commit(realm, hosted_groups.change(rule, hosted_groups.invited))
    reply: GroupPerson = made.reply
    return reply


async def govern(realm: Realm, account: Account, request: Kick | Ban | Unban) -> GroupPerson:
    """Have the host remove somebody, keep them out, or let them be invited again."""
    group, user = request.group, request.user
    host = _peer(realm, group.realm)
    answer = await realm.links.ask(
        host.known.id,
        request.spec.name,
        by=account.name,
        group=group.number,
        user=_named(realm, host, user, user.user),
    )
    await _apply_roster(realm, host, answer)
    name = await realm.database.read(conversations.known_as, user)
    return hosted_groups.governing_answer(request.spec.name, _address(host, group), name)


async def accept(realm: Realm, account: Account, group: GroupAddress) -> InvitationAccepted:
    """Join a group of another realm to which one was invited, also while its host is away."""
    host = _peer(realm, group.realm)
    replication = GroupReplication(realm, host.known)
    with suppress(BadValue, ChatError):
        # First, because the invitation may be gone by now.
        await replication.refresh(group.number)
    await replication.accept(group.number, account.id)
    with suppress(BadValue, ChatError):
        await replication.refresh(group.number)
    return InvitationAccepted(_address(host, group))


async def decline(realm: Realm, account: Account, group: GroupAddress) -> InvitationDeclined:
    """Turn down an invitation to a group of another realm; its host hears of it when it can."""
    host = _peer(realm, group.realm)
    replication = GroupReplication(realm, host.known)
    await replication.decline(group.number, account.id)
    realm.links.start(replication.turn_away(group.number, account.name))
    return InvitationDeclined(_address(host, group))


async def leave(realm: Realm, account: Account, group: GroupAddress) -> GroupLeft:
    """Leave a group that another realm hosts, or hosted before it was removed."""
    host = _peer(realm, group.realm)
    if host.known.state == REMOVED:
        return await _leave_for_good(realm, account, host, group)
    answer = await realm.links.ask(host.known.id, "leave", by=account.name, group=group.number)
    await _apply_roster(realm, host, answer)
    return GroupLeft(_address(host, group))


async def _leave_for_good(
    realm: Realm, account: Account, host: Peer, group: GroupAddress
) -> GroupLeft:
    """Leave a group whose host nobody can ask any more."""

    address = _address(host, group)

    def part(tx: Connection, now: int) -> Outcome:
        if not replica_repair.part(tx, host.known, group.number, account.id):
            raise conversations.unknown_group(group)
        return Outcome(GroupLeft(address), forgotten=(address,))

    reply: GroupLeft = (await commit(realm, part)).reply
    return reply


def _address(host: Peer, group: GroupAddress) -> str:
    """Return the address of a group by the name that its host has here."""
    return str(GroupAddress(group.number, host.known.name))


def _peer(realm: Realm, name: str) -> Peer:
    peer = realm.links.find(name)
    assert peer is not None, "the gate has checked it"
    return peer


def _named(realm: Realm, host: Peer, user: Address, name: str) -> dict[str, str]:
    """Return how the host is told whom a command is about."""
    if not user.realm:
        return {"name": name, "key": base64.written(realm.links.public_key)}
    if fold(user.realm) == fold(host.known.name):
        return {"name": name}
    return {"name": name, "key": base64.written(_peer(realm, user.realm).known.public_key)}


async def _apply_roster(realm: Realm, host: Peer, answer: dict[str, Any]) -> Roster:
    """Take what the host says of the group now, so that the command's effect is seen here too."""
    try:
        roster = inbound_rows.roster(answer.get("roster"))
    except BadValue as error:
        raise ChatError(ErrorCode.REALM_REFUSED, "The other realm answers noise") from error
    await GroupReplication(realm, host.known).apply_roster(roster)
    return roster
