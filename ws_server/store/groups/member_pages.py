"""Pages of a group's members, in the order of joining.

A group may have thousands of members. A page reads and encodes some hundred of them, so that the
event loop and the readers serve others in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from shared.protocol.values import Address, GroupAddress, fold
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.schema import members, realms
from ws_server.store.schema import users as user_table

PAGE = 500
"""Members of one page."""

_m = members.c


class Reader(NamedTuple):
    """A member of a group, with their read marker."""

    place: int
    address: str
    owner: bool
    read_seq: int


class MemberPage(NamedTuple):
    """Members in the order of joining, and whether there are more behind them."""

    readers: list[Reader]
    more: bool
    is_first: bool


def page(
    tx: Connection,
    user_id: int,
    address: GroupAddress,
    after: Address | None,
    left: Mapping[str, int],
) -> MemberPage:
    """Return a page of a group's members, for one of them.

    Args:
        after: The member behind whom the page begins; the first page if they are unknown.
        left: The places of members who ended earlier pages, by folded address. A page continues
            there if they have left since.

    Raises:
        ChatError: UNKNOWN_GROUP, also if the user is not in the group.
    """
    group = conversations.group(tx, user_id, address, (user_id,))
    place = None
    if after is not None:
        place = _place(tx, group.id, after)
        if place is None:
            place = left.get(fold(str(after)))
    readers = _readers(tx, group.id, -1 if place is None else place)
    return MemberPage(readers[:PAGE], len(readers) > PAGE, place is None)


def _place(tx: Connection, conversation_id: int, member: Address) -> int | None:
    """Return the place of a member; None if there is no such member."""
    named = user_table.c.key == fold(member.user)
    if member.realm:
        # A user of a third realm is stored under the host's name for them, such as `carol@gamma`.
        by_host = user_table.c.key == fold(str(member))
        named = or_(by_host, and_(named, realms.c.key == fold(member.realm)))
    else:
        named = and_(named, user_table.c.realm_id.is_(None))
    place: int | None = tx.scalar(
        select(func.min(_m.place))
        .select_from(users.WITH_REALMS.join(members, _m.user_id == user_table.c.id))
        .where(_m.conversation_id == conversation_id, named)
    )
    return place


def _readers(tx: Connection, conversation_id: int, after: int) -> list[Reader]:
    """Return the next members behind a place, one more than a page has."""
    some = (
        select(_m.place, _m.user_id, _m.owner, _m.read_seq)
        .where(_m.conversation_id == conversation_id, _m.place > after)
        .order_by(_m.place, _m.user_id)
        .limit(PAGE + 1)
        .subquery()
    )
    rows = tx.execute(
        select(some.c.place, users.address_of(), some.c.owner, some.c.read_seq)
        .select_from(users.WITH_REALMS.join(some, some.c.user_id == user_table.c.id))
        .order_by(some.c.place, some.c.user_id)
    )
    return [Reader(place, str(name), owner, read) for place, name, owner, read in rows]
