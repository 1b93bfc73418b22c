"""People kicked or banned from groups hosted here, whom not every member may invite again."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.conversations import Conversation
from ws_server.store.schema import kept_out

MAX_KEPT_OUT = 10_000
"""Kicked and banned people recorded for one group; above it, kicks are no longer recorded."""

_k = kept_out.c


def note(tx: Connection, group: Conversation, user_id: int, *, banned: bool) -> None:
    """Record that a person was kicked from a group, or is banned.

    Raises:
        ChatError: TOO_LARGE, a ban above MAX_KEPT_OUT. A kick above it is not recorded.
    """
    clear(tx, group, user_id)
    count = tx.scalar(select(func.count()).where(_k.conversation_id == group.id)) or 0
    if count >= MAX_KEPT_OUT:
        if banned:
            raise ChatError(
                ErrorCode.TOO_LARGE,
                f"{group.address(0)} has {MAX_KEPT_OUT:,} banned or kicked people; unban some",
            )
        return
    row = {"conversation_id": group.id, "user_id": user_id, "banned": banned}
    tx.execute(insert(kept_out).values(row))


def clear(tx: Connection, group: Conversation, user_id: int) -> None:
    """Allow a person to be invited again."""
    tx.execute(delete(kept_out).where(_this(group, user_id)))


def check(tx: Connection, group: Conversation, caller: int, user_id: int, name: str) -> None:
    """Refuse to invite a banned person; a kicked one may be invited by the owner alone.

    Raises:
        ChatError: FORBIDDEN.
    """
    banned = tx.scalar(select(_k.banned).where(_this(group, user_id)))
    if banned is None:
        return
    if banned:
        raise ChatError(
            ErrorCode.FORBIDDEN, f"{name} is banned from {group.address(0)}; its owner may unban"
        )
    if not group.members[caller].owner:
        raise ChatError(
            ErrorCode.FORBIDDEN,
            f"{name} was removed from {group.address(0)}; only its owner may invite them again",
        )
    clear(tx, group, user_id)


def _this(group: Conversation, user_id: int) -> ColumnElement[bool]:
    return and_(_k.conversation_id == group.id, _k.user_id == user_id)
