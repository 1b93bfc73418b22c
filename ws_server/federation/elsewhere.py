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
from ws_server.federation.hosting import GroupChange, change_group
from ws_server.federation.replicating import Replicating
from ws_server.net.session import Account
from ws_server.store import comparing, conversations, users
from ws_server.store.ids import new_id
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
    request, since = _requests.get(asked, ("", 0.0))
    if time.monotonic() - since > SAME_REQUEST:
        request = new_id("r")
    _requests[asked] = (request, time.monotonic())
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
        name = (await realm.database.read(users.existing, user.user)).name
    answer = await realm.links.ask(
        host.known.id,
        "invite",
        by=account.name,
        group=group.number,
        user=_named(realm, host, user, name),
    )
    roster = await _enrol(realm, host, answer)
    done = "is now in" if roster.change else "is already in"
    return GroupPerson(str(GroupAddress(group.number, host.known.name)), str(user), done)


async def _invite_here(
    realm: Realm, account: Account, group: GroupAddress, user: Address
) -> GroupPerson:
    """Add a person of another realm to a group hosted here, once that realm knows him."""
    peer = _peer(realm, user.realm)
    # First, so that whoever is in no such group learns nothing of other realms by it.
    await realm.database.read(conversations.group, account.id, group, (account.id,))
    answer = await realm.links.ask(peer.known.id, "user", name=user.user)
    name = answer.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name) or fold(name) != fold(user.user):
        raise ChatError(ErrorCode.REALM_REFUSED, f"{peer.known.name} answered for somebody else")

    def join(tx: Connection, now: int) -> GroupChange:
        person = users.of_realm(tx, peer.known.id, name, now)
        found = conversations.group(tx, account.id, group)
        if person.id in found.members:
            return GroupChange(found)
        return GroupChange(conversations.join(tx, found, person), person, "joined")

    hosted = await change_group(realm, join)
    done = "is already in" if hosted.person is None else "is now in"
    return GroupPerson(str(group), f"{name}@{peer.known.name}", done)


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
    where = str(GroupAddress(group.number, host.known.name))
    return GroupPerson(where, str(user), "is no longer in")


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
