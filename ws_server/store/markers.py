"""The received and read markers of members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, Row, and_, column, select, update

from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.engines import bulk
from ws_server.store.engines.adapter import Statement
from ws_server.store.schema import conversations, members, messages, realms
from ws_server.store.schema import users as user_table


@dataclass(slots=True)
class Markers:
    """One member's markers in one conversation."""

    read_seq: int = 0
    received_seq: int = 0
    changed: bool = False


def mark(
    tx: Connection,
    user_id: int,
    conversation: Conversation,
    *,
    read: int = 0,
    received: int = 0,
) -> Markers:
    """Advance a member's markers; they never move back, nor beyond the last message.

    A message that is read also counts as received.
    """
    mine = and_(members.c.conversation_id == conversation.id, members.c.user_id == user_id)
    row = tx.execute(
        select(members.c.read_seq, members.c.received_seq, conversations.c.last_seq)
        .join(conversations, conversations.c.id == members.c.conversation_id)
        .where(mine)
    ).first()
    if row is None:  # left the group in the meantime
        return Markers()
    old_read, old_received, last_seq = row
    new_read = max(old_read, min(read, last_seq))
    new_received = max(old_received, min(received, last_seq), new_read)
    changed = (new_read, new_received) != (old_read, old_received)
    if changed:
        tx.execute(update(members).where(mine).values(read_seq=new_read, received_seq=new_received))
    return Markers(new_read, new_received, changed)


def read_seq(tx: Connection, user_id: int, conversation: Conversation) -> int:
    """Return a user's read marker; 0 if they are not a member."""
    mine = select(members.c.read_seq).where(
        members.c.conversation_id == conversation.id, members.c.user_id == user_id
    )
    return tx.scalar(mine) or 0


def numbers(rows: Iterable[Row[int, int]]) -> dict[int, int]:
    """Return rows of an id and a number as a dictionary."""
    return {id: number for id, number in rows}  # noqa: C416 - rows are no pairs to mypy


class Reader(NamedTuple):
    """A member of a group, with their read marker."""

    place: int
    id: int
    address: str
    owner: bool
    read_seq: int


# A bulk statement, because a group may have thousands of members.
_READERS = Statement(
    (column("group", BigInteger),),
    lambda given: (
        select(
            *(members.c.place, members.c.user_id, users.address_of()),
            *(members.c.owner, members.c.read_seq),
        )
        .select_from(given)
        .join(members, members.c.conversation_id == given.c.group)
        .join(user_table, user_table.c.id == members.c.user_id)
        .outerjoin(realms, realms.c.id == user_table.c.realm_id)
    ),
)


def readers(tx: Connection, group: Conversation) -> list[Reader]:
    """Return the members of a group in the order of joining."""
    return sorted(map(Reader._make, bulk.ask(tx, _READERS, [(group.id,)])))


def origin_seqs(
    tx: Connection, conversation_id: int, sender_id: int, marks: Markers
) -> tuple[int, int]:
    """Return the received and read markers as seqs of the sender's own realm."""
    m = messages.c

    def last(seq: int) -> int:
        return (
            tx.scalar(
                select(m.origin_seq)
                .where(m.conversation_id == conversation_id, m.seq <= seq)
                .where(m.sender_id == sender_id)
                .order_by(m.seq.desc())
                .limit(1)
            )
            or 0
        )

    return last(marks.received_seq), last(marks.read_seq)
