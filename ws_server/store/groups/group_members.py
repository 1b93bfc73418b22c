"""The members of a group: rows of those who found, join and leave it; each change is a version.

The rules are those of `membership`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.groups import group_history
from ws_server.store.groups.group_memory import group_memory
from ws_server.store.schema import conversations as table
from ws_server.store.schema import members

MAX_MEMBERS = 5_000
"""Members of a group; a list of them fits one frame."""


def last_number(tx: Connection) -> int:
    """Return the highest number of a group hosted here; 0 if there is none."""
    here = select(func.max(table.c.number)).where(table.c.realm_id.is_(None))
    return tx.scalar(here) or 0


def requested(tx: Connection, request: str) -> Conversation | None:
    """Return the group created by a request of another realm; None if there is none."""
    found = tx.scalar(select(table.c.id).where(table.c.request == request))
    return None if found is None else conversations.load(tx, id=found)


def create_group(
    tx: Connection,
    user_id: int,
    name: str,
    now: int,
    *,
    others: Sequence[int] = (),
    number: int | None = None,
    request: str | None = None,
) -> Conversation:
    """Create a group.

    Args:
        user_id: The owner, who is its first member.
        now: Unix milliseconds.
        others: The other members, in the order of joining.
        number: A free number; by default, the highest one plus 1.
        request: The id of another realm's request, so that a repeated one finds the group.
    """
    if number is None:
        number = last_number(tx) + 1
    conversation_id = _add(tx, now, number=number, name=name, request=request)
    rows = _member_rows(conversation_id, (user_id, *others), owner=user_id)
    tx.execute(insert(members), rows)
    made = conversations.load(tx, id=conversation_id)
    assert made is not None
    return made


def _add(tx: Connection, now: int, **values: Any) -> int:
    made = tx.execute(insert(table).values(**conversations.new_row(tx, now), **values))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def _member_rows(
    conversation_id: int,
    people: Iterable[int],
    *,
    owner: int | None = None,
    place: int = 0,
    joined_seq: int = 0,
    hidden_seq: int = 0,
) -> list[dict[str, Any]]:
    return [
        {
            "conversation_id": conversation_id,
            "user_id": person,
            "owner": person == owner,
            "place": position,
            "joined_seq": joined_seq,
            "read_seq": joined_seq,
            "received_seq": joined_seq,
            "hidden_seq": hidden_seq,
        }
        for position, person in enumerate(people, place)
    ]


def join(tx: Connection, conversation: Conversation, user: users.User) -> Conversation:
    """Add a person to a group, and return the group after the change.

    Raises:
        ChatError: TOO_LARGE, the group has MAX_MEMBERS.
    """
    place, count = tx.execute(
        select(func.coalesce(func.max(members.c.place), 0) + 1, func.count()).where(
            members.c.conversation_id == conversation.id
        )
    ).one()
    if count >= MAX_MEMBERS:
        raise ChatError(ErrorCode.TOO_LARGE, f"A group has at most {MAX_MEMBERS:,} members")
    last_seq = conversation.last_seq
    hidden = last_seq if group_history.is_from_joining(tx, conversation.id) else 0
    rows = _member_rows(
        conversation.id, (user.id,), place=place, joined_seq=last_seq, hidden_seq=hidden
    )
    tx.execute(insert(members), rows)
    return changed(tx, conversation, (user.id,))


def leave(tx: Connection, conversation: Conversation, user_id: int) -> Conversation:
    """Remove a member from a group; an owner's role passes to the member who joined first."""
    was_owner = conversation.members[user_id].owner
    tx.execute(
        delete(members).where(
            members.c.conversation_id == conversation.id, members.c.user_id == user_id
        )
    )
    touched = {user_id}
    if was_owner:
        oldest = select(func.min(members.c.place)).where(
            members.c.conversation_id == conversation.id
        )
        touched |= set(
            tx.scalars(
                update(members)
                .where(members.c.conversation_id == conversation.id)
                .where(members.c.place == oldest.scalar_subquery())
                .values(owner=True)
                .returning(members.c.user_id)
            )
        )
    return changed(tx, conversation, touched)


def changed(tx: Connection, conversation: Conversation, touched: Collection[int]) -> Conversation:
    """Raise a group's version, so that cached copies become stale; return it with all its members.

    Args:
        touched: The members who joined, left or got another role.
    """
    tx.execute(
        update(table).where(table.c.id == conversation.id).values(version=table.c.version + 1)
    )
    memory = group_memory(tx)
    now = conversations.load(tx, id=conversation.id, only=touched)
    assert now is not None
    before = memory.get(now.id, now.version - 1)
    if before is None:
        now = conversations.load(tx, id=conversation.id)
        assert now is not None
    else:
        stay = {
            id: member
            for id, member in before.members.items()
            if id not in touched or id in now.members
        }
        now = replace(now, members=stay | now.members)
    memory.keep(now)
    return now
