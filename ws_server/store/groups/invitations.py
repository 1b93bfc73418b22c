"""Invitations from strangers in other realms, pending until the person accepts or declines.

The invited person becomes a member only on acceptance; queries for members never return them
before. If another realm hosts the group, that host counts the person as a member from the
invitation on. Messages it relays are not stored while the group has no local member, and are
fetched when a person accepts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from shared.protocol.values import GroupAddress
from ws_server.store import conversations as conversation_store
from ws_server.store.conversation_summaries import Standing
from ws_server.store.schema import conversations, invitations, members, messages, realms
from ws_server.store.schema import users as user_table

MAX_OF_PERSON = 100
"""Pending invitations of one person."""
MAX_OF_REALM = 1_000
"""Pending invitations by users of one other realm, or to the groups that it hosts."""

_i, _c = invitations.c, conversations.c


@dataclass(frozen=True, slots=True)
class Invitation:
    """The role and position that a person gets in a group by accepting."""

    owner: bool = False
    place: int = 0
    joined_seq: int = 0
    hidden_seq: int = 0
    declined: bool = False


def has_written(tx: Connection, one: int, other: int) -> bool:
    """Return whether `one` has ever written to `other`, who then is no stranger to them."""
    chat = conversation_store.between(tx, one, other)
    if chat is None:
        return False
    written = select(messages.c.row).where(
        messages.c.conversation_id == chat, messages.c.sender_id == one
    )
    return tx.scalar(written.limit(1)) is not None


def has_room(tx: Connection, user_id: int, realm_id: int) -> bool:
    """Return whether the bounds allow one more pending invitation for a person.

    Args:
        realm_id: The realm of the inviter, or of the group's host.
    """
    waiting = select(func.count()).select_from(invitations)
    if (tx.scalar(waiting.where(_i.user_id == user_id)) or 0) >= MAX_OF_PERSON:
        return False
    return (tx.scalar(waiting.where(_i.realm_id == realm_id)) or 0) < MAX_OF_REALM


def add(
    tx: Connection, group_id: int, user_id: int, realm_id: int, invitation: Invitation, now: int
) -> None:
    """Store a pending invitation; `realm_id` as in `has_room`, `now` in Unix milliseconds."""
    tx.execute(
        insert(invitations).values(
            conversation_id=group_id,
            user_id=user_id,
            realm_id=realm_id,
            owner=invitation.owner,
            place=invitation.place,
            joined_seq=invitation.joined_seq,
            hidden_seq=invitation.hidden_seq,
            since=now,
            declined=invitation.declined,
        )
    )


def of_group(
    tx: Connection, group_id: int, only: Collection[int] | None = None
) -> dict[int, Invitation]:
    """Return the invitations to a group by user id, including declined ones."""
    query = select(
        *(_i.user_id, _i.owner, _i.place, _i.joined_seq, _i.hidden_seq, _i.declined)
    ).where(_i.conversation_id == group_id)
    if only is not None:
        query = query.where(_i.user_id.in_(only))
    return {user_id: Invitation(*rest) for user_id, *rest in tx.execute(query)}


def change(tx: Connection, group_id: int, user_id: int, invitation: Invitation) -> None:
    """Update role and position in a pending invitation."""
    values = {
        "owner": invitation.owner,
        "place": invitation.place,
        "hidden_seq": invitation.hidden_seq,
    }
    tx.execute(update(invitations).where(_this(group_id, user_id)).values(values))


def remove(tx: Connection, group_id: int, user_id: int) -> bool:
    """Delete an invitation; return whether it was pending, not declined."""
    gone = delete(invitations).where(_this(group_id, user_id)).returning(_i.declined)
    return tx.scalar(gone) is False


def decline(tx: Connection, group_id: int, user_id: int) -> None:
    """Mark an invitation as declined until the host is notified."""
    tx.execute(update(invitations).where(_this(group_id, user_id)).values(declined=True))


def enter(tx: Connection, group_id: int, user_id: int, invitation: Invitation) -> None:
    """Turn an invitation to another realm's group into a membership."""
    remove(tx, group_id, user_id)
    marks = dict.fromkeys(("joined_seq", "read_seq", "received_seq"), invitation.joined_seq)
    tx.execute(
        insert(members).values(
            conversation_id=group_id,
            user_id=user_id,
            owner=invitation.owner,
            place=invitation.place,
            hidden_seq=invitation.hidden_seq,
            **marks,
        )
    )


def declined(tx: Connection, host_id: int) -> list[tuple[int, str]]:
    """Return group number and user name of declined invitations not yet confirmed by the host."""
    found = (
        select(_c.number, user_table.c.name)
        .select_from(
            invitations.join(conversations, _c.id == _i.conversation_id).join(
                user_table, user_table.c.id == _i.user_id
            )
        )
        .where(_c.realm_id == host_id, _i.declined)
    )
    return [(number, name) for number, name in tx.execute(found)]


def waiting(tx: Connection, user_id: int, only: Collection[int] | None = None) -> list[Standing]:
    """Return the groups a user is invited to, the newest invitation first.

    Args:
        only: Restrict the result to these groups, by id.
    """
    query = (
        select(_c.id, _c.number, realms.c.name, _c.name)
        .select_from(
            invitations.join(conversations, _c.id == _i.conversation_id).outerjoin(
                realms, realms.c.id == _c.realm_id
            )
        )
        .where(_i.user_id == user_id, _i.declined.is_(False))
        .order_by(_i.since.desc(), _c.id.desc())
    )
    if only is not None:
        query = query.where(_c.id.in_(only))
    return [
        Standing(
            *(id, str(GroupAddress(number, host or "")), name or "", 0, 0, 0, False, None, None),
            invited=True,
        )
        for id, number, host, name in tx.execute(query)
    ]


def _this(group_id: int, user_id: int) -> ColumnElement[bool]:
    return and_(_i.conversation_id == group_id, _i.user_id == user_id)
