"""The received and read markers of members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, and_, select, update

from ws_server.store.conversations import Conversation
from ws_server.store.schema import conversations, members, messages


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
