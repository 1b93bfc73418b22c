"""A stranger of another realm, by whom somebody of a realm in this process is invited."""

from __future__ import annotations

from sqlalchemy import Connection

from shared.protocol.values import GroupAddress, parse_conversation
from tests.world import World
from ws_server.store.accounts import users
from ws_server.store.accounts.users import User
from ws_server.store.federation import realms
from ws_server.store.groups import group_members, membership
from ws_server.store.groups.group_changes import GroupChange


def stranger(tx: Connection, now: int, name: str = "sam", realm: str = "beta") -> User:
    """Return somebody of another realm, which is noted if need be."""
    known = realms.find(tx, realm) or realms.add(
        tx,
        name=realm,
        public_key=realm.encode().ljust(32),
        own_name=realm,
        address=None,
        port=None,
        tls=False,
        state=realms.ACTIVE,
        now=now,
    )
    return users.of_realm(tx, known.id, name, now)


async def invite_by_stranger(
    world: World, name: str, *, by: str = "sam", realm: str = "beta"
) -> tuple[str, GroupChange]:
    """Have a stranger invite somebody to a new group hosted here, as an answer to a link does."""

    def invite(tx: Connection, now: int) -> GroupChange:
        sam = stranger(tx, now, by, realm)
        group = group_members.create_group(tx, sam.id, "offers", now)
        address = parse_conversation(group.address(0))
        assert isinstance(address, GroupAddress)
        person = users.find(tx, name)
        return membership.invite(tx, sam.id, address, name, person, now, waits=True)

    made: GroupChange = await world.realm.journal.write(invite)
    return made.group.address(0), made
