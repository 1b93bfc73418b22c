"""People who block people: no private message and no invitation of theirs comes in.

A block is kept with the private chat of the two, and a change of it makes a new version of that, so
that each commit proves what it relied on.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, or_, select, update

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address
from ws_server.store import recipients
from ws_server.store.accounts import users
from ws_server.store.schema import conversations, members
from ws_server.store.schema import users as user_table

MAX_BLOCKED = 1_000
"""People whom one person may block; a list of them fits one frame."""

_c = conversations.c


def refused(name: str) -> ChatError:
    """Return the refusal of what somebody sends to a person who blocks them.

    It does not tell why; nobody learns from it that they are blocked.
    """
    return ChatError(ErrorCode.FORBIDDEN, f"Nothing can be sent to {name}")


def set_blocked(
    tx: Connection, user_id: int, address: Address, blocked: bool, now: int
) -> tuple[str, bool]:
    """Block a person, or no longer, and return their address, and whether that changed anything.

    Raises:
        ChatError: UNKNOWN_USER, UNKNOWN_REALM; FORBIDDEN, it is oneself; TOO_LARGE, MAX_BLOCKED
            are.
    """
    other = users.note_at(tx, address, now) if blocked else users.find_at(tx, address)
    if other is None and address.realm:
        return str(address), False  # nobody here has heard of them
    if other is None:
        raise users.unknown_user(address.user)
    if other.id == user_id:
        raise ChatError(ErrorCode.FORBIDDEN, "This is you; name somebody else")
    if blocks(tx, user_id, other.id) == blocked:
        return other.name, False
    if blocked and len(blocked_by(tx, user_id)) >= MAX_BLOCKED:
        raise ChatError(
            ErrorCode.TOO_LARGE, f"You block {MAX_BLOCKED:,} people already; unblock some first"
        )
    pair = min(user_id, other.id), max(user_id, other.id)
    chat = recipients.open_private(tx, {pair}, now)[pair]
    column = _c.low_blocks if user_id == pair[0] else _c.high_blocks
    tx.execute(
        update(conversations)
        .where(_c.id == chat.id)
        .values({column: blocked, _c.version: _c.version + 1})
    )
    return other.name, True


def blocks(tx: Connection, one: int, other: int) -> bool:
    """Tell whether `one` blocks `other`."""
    column = _c.low_blocks if one < other else _c.high_blocks
    pair = and_(_c.low_user == min(one, other), _c.high_user == max(one, other))
    return bool(tx.scalar(select(column).where(pair)))


def blocked_by(tx: Connection, user_id: int) -> list[str]:
    """Return the addresses of those whom a person blocks, by name."""
    theirs = select(members.c.conversation_id).where(members.c.user_id == user_id)
    low = and_(_c.low_user == user_id, _c.low_blocks, user_table.c.id == _c.high_user)
    high = and_(_c.high_user == user_id, _c.high_blocks, user_table.c.id == _c.low_user)
    found = (
        select(users.address_of())
        .select_from(users.WITH_REALMS.join(conversations, or_(low, high)))
        .where(_c.id.in_(theirs))
        .order_by(user_table.c.key, user_table.c.id)
    )
    return [str(address) for address in tx.scalars(found)]
