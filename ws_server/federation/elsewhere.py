"""Group commands that need another realm: its host's consent, or its word that somebody exists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from shared.protocol import base64
from shared.protocol.commands.groups import GroupCreated, GroupLeft, GroupPerson
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import NAME, Address, BadValue, GroupAddress, fold
from ws_server.federation import rows
from ws_server.federation.hosting import change_group, group_person
from ws_server.federation.replicating import Replicating
from ws_server.net.session import Account
from ws_server.store import comparing, conversations, membership, users
from ws_server.store.conversations import Member
from ws_server.store.ids import new_id
from ws_server.store.membership import GroupChange
from ws_server.store.realms import REMOVED
from ws_server.store.replicas import Roster

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
    answer = await realm.links.ask(
        host.known.id, "creategroup", by=account.name, name=group_name, request=request
    )
    roster = await _enrol(realm, host, answer)
    _requests.pop(asked, None)
    return GroupCreated(str(GroupAddress(roster.group, host.known.name)), roster.name)


async def invite(realm: Realm, account: Account, group: GroupAddress, user: Address) -> GroupPerson:
    """Add somebody to a group of which host or person are of another realm."""
    if not group.realm:
        return await _invite_here(realm, account, group, user)
    host = _peer(realm, group.realm)
    name = user.user
    if not user.realm:
        name = await realm.database.read(_own, account, group, user.user)
    answer = await realm.links.ask(
        host.known.id,
        "invite",
        by=account.name,
        group=group.number,
        user=_named(realm, host, user, name),
    )
    roster = await _enrol(realm, host, answer)
    return await _person(realm, host, group, user, membership.JOINED if roster.change else "")


def _own(tx: Connection, account: Account, address: GroupAddress, name: str) -> str:
    """Return how a person of this realm is called who is invited to a group of another one.

    Raises:
        ChatError: as `membership.invite`, whose rules the host applies to its own people.
    """
    person = users.find(tx, name)
    only = (account.id, person.id if person else account.id)
    group = conversations.group(tx, account.id, address, only)
    return membership.invitable(group, name, person).name


async def _person(
    realm: Realm, host: Peer, group: GroupAddress, user: Address, change: str
) -> GroupPerson:
    """Return the answer to who invited or kicked, with the name that the person registered."""
    name = await realm.database.read(conversations.known_as, user)
    return group_person(str(GroupAddress(group.number, host.known.name)), name, change)


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
        return group_person(str(group), member.name, "")
    answer = await realm.links.ask(peer.known.id, "user", name=user.user)
    name = answer.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name) or fold(name) != fold(user.user):
        raise ChatError(ErrorCode.REALM_REFUSED, f"{peer.known.name} answered for somebody else")

    def join(tx: Connection, now: int) -> GroupChange:
        person = users.of_realm(tx, peer.known.id, name, now)
        return membership.invite(tx, account.id, group, name, person)

    made = (await change_group(realm, join)).made
    assert made.person is not None
    return group_person(str(group), made.person.name, made.change)


async def kick(realm: Realm, account: Account, group: GroupAddress, user: Address) -> GroupPerson:
    """Have the host remove somebody."""
    host = _peer(realm, group.realm)
    answer = await realm.links.ask(
        host.known.id,
        "kick",
        by=account.name,
        group=group.number,
        user=_named(realm, host, user, user.user),
    )
    await _enrol(realm, host, answer)
    return await _person(realm, host, group, user, membership.REMOVED)


async def leave(realm: Realm, account: Account, group: GroupAddress) -> GroupLeft:
    """Leave a group that another realm hosts, or hosted before it was removed."""
    host = _peer(realm, group.realm)
    if host.known.state == REMOVED:
        return await _leave_for_good(realm, account, host, group)
    answer = await realm.links.ask(host.known.id, "leave", by=account.name, group=group.number)
    await _enrol(realm, host, answer)
    return GroupLeft(str(GroupAddress(group.number, host.known.name)))


async def _leave_for_good(
    realm: Realm, account: Account, host: Peer, group: GroupAddress
) -> GroupLeft:
    """Leave a group whose host nobody can ask any more."""

    def part(tx: Connection, now: int) -> None:
        if not comparing.part(tx, host.known, group.number, account.id):
            raise conversations.unknown_group(group)

    address = str(GroupAddress(group.number, host.known.name))
    await realm.journal.write(part, lambda _: realm.cache.drop_group(address))
    return GroupLeft(address)


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


async def _enrol(realm: Realm, host: Peer, answer: dict[str, Any]) -> Roster:
    """Take what the host says of the group now, so that the command's effect is seen here too."""
    try:
        roster = rows.roster(answer.get("roster"))
    except BadValue as error:
        raise ChatError(ErrorCode.REALM_REFUSED, "The other realm answers noise") from error
    await Replicating(realm, host.known).enrol(roster)
    return roster
