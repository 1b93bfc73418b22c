"""Queries over the outbox for senders, operators and message histories."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, func, select

from ws_server.store.accounts.users import WITH_REALMS, address_of
from ws_server.store.conversations import Conversation
from ws_server.store.federation.outbox import DELIVERED, MESSAGE, POST, QUEUED, REFUSED, STORED
from ws_server.store.schema import conversations, messages, outbox, posts, realms, users

_COUNT = select(func.count()).where(
    outbox.c.realm_id == bindparam("of"), outbox.c.refused.is_(None)
)


def count(tx: Connection, realm_id: int) -> int:
    """Return how many rows are pending for a realm."""
    return tx.scalar(_COUNT, {"of": realm_id}) or 0


def counts(tx: Connection) -> dict[int, int]:
    """Return the number of pending rows by realm id, only counts above 0."""
    rows = tx.execute(
        select(outbox.c.realm_id, func.count())
        .where(outbox.c.refused.is_(None))
        .group_by(outbox.c.realm_id)
    )
    return {realm_id: count for realm_id, count in rows}  # noqa: C416 - rows are no pairs to mypy


def states(tx: Connection, conversation_ids: Collection[int]) -> dict[tuple[int, int], str]:
    """Return QUEUED or REFUSED by (conversation, seq), for messages that are not delivered."""
    if not conversation_ids:
        return {}
    rows = tx.execute(
        select(outbox.c.conversation_id, outbox.c.seq, outbox.c.refused).where(
            outbox.c.conversation_id.in_(conversation_ids), outbox.c.kind == MESSAGE
        )
    )
    return {(id, seq): QUEUED if refused is None else REFUSED for id, seq, refused in rows}


def state_of(tx: Connection, conversation: Conversation, seq: int) -> str:
    """Return a message's delivery state, as shown to its sender."""
    if conversation.realm_id is not None:
        return DELIVERED
    if conversation.number is not None or not conversation.realms:
        return STORED
    return states(tx, (conversation.id,)).get((conversation.id, seq), DELIVERED)


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """One pending message of a sender."""

    conversation: str
    realm_id: int
    message_id: str
    since: int


MAX_LISTED = 1_000
"""Rows listed for one sender, so that the reply fits one frame."""


def of_sender(tx: Connection, sender_id: int) -> tuple[list[WaitingMessage], bool]:
    """Return a sender's pending messages, the oldest first, and whether more were left out."""
    m, c, o, p = messages.c, conversations.c, outbox.c, posts.c
    private_ones = (
        select(address_of(), o.realm_id, m.id, o.since)
        .select_from(
            WITH_REALMS.join(conversations, users.c.id.in_((c.low_user, c.high_user)))
            .join(outbox, and_(o.conversation_id == c.id, o.realm_id == users.c.realm_id))
            .join(messages, and_(m.conversation_id == o.conversation_id, m.seq == o.seq))
        )
        .where(m.sender_id == sender_id, o.kind == MESSAGE, o.refused.is_(None))
        .order_by(o.since, o.number)
        .limit(MAX_LISTED + 1)
    )
    in_groups = (
        select(c.number, realms.c.name, o.realm_id, p.id, o.since)
        .select_from(
            posts.join(outbox, and_(o.kind == POST, o.body == p.id))
            .join(conversations, c.id == p.conversation_id)
            .join(realms, realms.c.id == c.realm_id)
        )
        .where(p.sender_id == sender_id, o.refused.is_(None))
        .order_by(o.since, o.number)
        .limit(MAX_LISTED + 1)
    )
    found = [WaitingMessage(*row) for row in tx.execute(private_ones)]
    found += [WaitingMessage(f"#{n}@{realm}", *row) for n, realm, *row in tx.execute(in_groups)]
    found.sort(key=lambda waiting: waiting.since)
    return found[:MAX_LISTED], len(found) > MAX_LISTED


def concerned(tx: Connection, realm_id: int) -> list[int]:
    """Return the ids of the admins and of users with messages pending for a realm."""
    o, m, p = outbox.c, messages.c, posts.c
    here = and_(o.realm_id == realm_id, o.refused.is_(None))
    writing = (
        select(m.sender_id)
        .join(outbox, and_(o.conversation_id == m.conversation_id, o.seq == m.seq))
        .where(here, o.kind == MESSAGE)
    )
    posting = select(p.sender_id).join(outbox, o.body == p.id).where(here, o.kind == POST)
    people = select(users.c.id).where(users.c.realm_id.is_(None))
    return list(
        tx.scalars(people.where(users.c.admin | users.c.id.in_(writing) | users.c.id.in_(posting)))
    )
