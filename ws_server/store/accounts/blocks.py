"""Blocking: a person who blocks another gets no private messages and no invitations from them.

A block is stored with the private chat of the two. Each change raises the version of the chat, so a
commit that relied on an older state is refused.
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
"""People that one user may block; a list of them fits one frame."""

_c = conversations.c


def refused(name: str) -> ChatError:
    """Return the refusal for sending to a person who blocks the sender.

    It gives no reason, so the sender does not learn that they are blocked.
    """
    return ChatError(ErrorCode.FORBIDDEN, f"Nothing can be sent to {name}")


def set_blocked(
    tx: Connection, user_id: int, address: Address, blocked: bool, now: int
) -> tuple[str, bool]:
    """Block or unblock a person; return their address, and whether anything changed.

    Raises:
        ChatError: UNKNOWN_USER, UNKNOWN_REALM; FORBIDDEN, the person is the caller; TOO_LARGE,
            the caller blocks MAX_BLOCKED people.
    """
    other = users.note_at(tx, address, now) if blocked else users.find_at(tx, address)
    if other is None and address.realm:
        return str(address), False  # unknown here, so not blocked
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
    """Return whether `one` blocks `other`."""
    column = _c.low_blocks if one < other else _c.high_blocks
    pair = and_(_c.low_user == min(one, other), _c.high_user == max(one, other))
    return bool(tx.scalar(select(column).where(pair)))


def blocked_by(tx: Connection, user_id: int) -> list[str]:
    """Return the addresses of the people a user blocks, by name."""
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
