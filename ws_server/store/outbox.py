"""What waits for other realms: written with its message, gone once the other side has it.

A row's number rises with each row of its realm and is never used again, so the other side can tell
what it has by one number. A row that was refused for ever stays, to be seen, and is not sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, delete, func, select, update

from ws_server.store import bulk
from ws_server.store.files import FILE, StoredFile
from ws_server.store.schema import conversations, files, messages, outbox, realms, users
from ws_server.store.users import WITH_REALMS, address_of

if TYPE_CHECKING:
    from ws_server.store.conversations import Conversation
    from ws_server.store.messages import Draft

MESSAGE = "message"
STORED, QUEUED, DELIVERED, REFUSED = "stored", "queued", "delivered", "refused"


@dataclass(frozen=True, slots=True)
class Item:
    """A message on its way to another realm."""

    number: int
    conversation_id: int
    sender_id: int
    id: str
    sender: str
    """The sender's name in this realm."""
    to: str
    """The recipient's name in the other realm."""
    seq: int
    time: int
    text: str
    file: StoredFile | None = None

    def on_link(self) -> dict[str, Any]:
        """Return the row as a link carries it."""
        row = {
            "number": self.number,
            "kind": MESSAGE,
            "id": self.id,
            "from": self.sender,
            "to": self.to,
            "seq": self.seq,
            "time": self.time,
            "text": self.text,
        }
        if self.file is not None:
            row["file"] = self.file.on_link()
        return row


def add_messages(tx: Connection, drafts: Sequence[Draft], now: int) -> None:
    """Let messages wait for the realms of their recipients, and give each its numbers there."""
    of_realm: dict[int, list[Draft]] = defaultdict(list)
    for draft in drafts:
        conversation = draft.conversation
        assert conversation is not None
        for realm_id in conversation.realms - {conversation.members[draft.sender].realm_id}:
            of_realm[realm_id].append(draft)
    rows: list[tuple[object, ...]] = []
    for realm_id, going in of_realm.items():
        for number, draft in enumerate(going, _last_number(tx, realm_id) + 1):
            assert draft.conversation is not None
            draft.outgoing.append((realm_id, number))
            if draft.conversation.number is None:
                draft.state = QUEUED
            rows.append((realm_id, number, MESSAGE, draft.conversation.id, draft.seq, None, now))
    bulk.insert_outbox(tx, rows)


def _last_number(tx: Connection, realm_id: int) -> int:
    """Return the highest number that was ever given to a row of a realm."""
    waiting = tx.scalar(select(func.max(outbox.c.number)).where(outbox.c.realm_id == realm_id))
    confirmed = tx.scalar(select(realms.c.confirmed).where(realms.c.id == realm_id))
    return max(waiting or 0, confirmed or 0)


def items(tx: Connection, realm_id: int, after: int, limit: int) -> list[Item]:
    """Return what is to be sent to a realm after a number, in order."""
    o, m, c = outbox.c, messages.c, conversations.c
    sender, other = users.alias("sender"), users.alias("other")
    rows = tx.execute(
        select(
            o.number,
            o.conversation_id,
            m.sender_id,
            m.id,
            sender.c.name,
            other.c.name,
            m.seq,
            m.time,
            m.text,
            *FILE,
        )
        .select_from(
            outbox.join(messages, and_(m.conversation_id == o.conversation_id, m.seq == o.seq))
            .join(conversations, c.id == o.conversation_id)
            .join(sender, sender.c.id == m.sender_id)
            .join(
                other, and_(other.c.realm_id == realm_id, other.c.id.in_((c.low_user, c.high_user)))
            )
            .outerjoin(files, files.c.id == m.file_id)
        )
        .where(o.realm_id == realm_id, o.number > after, o.refused.is_(None))
        .order_by(o.number)
        .limit(limit)
    )
    found: list[Item] = []
    for row in rows:
        fields: list[Any] = list(row)
        file = fields[-len(FILE) :]
        fields[-len(FILE) :] = [None if file[0] is None else StoredFile(*file)]
        found.append(Item(*fields))
    return found


def confirm(tx: Connection, realm_id: int, up_to: int, refused: dict[int, str]) -> None:
    """Forget what the other realm has, up to a number, and keep why it refused some of it."""
    for number, code in refused.items():
        tx.execute(
            update(outbox)
            .where(outbox.c.realm_id == realm_id, outbox.c.number == number)
            .values(refused=code)
        )
    tx.execute(
        delete(outbox).where(
            outbox.c.realm_id == realm_id, outbox.c.number <= up_to, outbox.c.refused.is_(None)
        )
    )
    tx.execute(
        update(realms)
        .where(realms.c.id == realm_id, realms.c.confirmed < up_to)
        .values(confirmed=up_to)
    )


def counts(tx: Connection) -> dict[int, int]:
    """Return how many rows wait for each realm, only counts above 0."""
    rows = tx.execute(
        select(outbox.c.realm_id, func.count())
        .where(outbox.c.refused.is_(None))
        .group_by(outbox.c.realm_id)
    )
    return {realm_id: count for realm_id, count in rows}  # noqa: C416 - rows are no pairs to mypy


def states(tx: Connection, conversation_ids: Collection[int]) -> dict[tuple[int, int], str]:
    """Return which messages of these conversations wait or were refused, by (conversation, seq)."""
    if not conversation_ids:
        return {}
    rows = tx.execute(
        select(outbox.c.conversation_id, outbox.c.seq, outbox.c.refused).where(
            outbox.c.conversation_id.in_(conversation_ids), outbox.c.seq.is_not(None)
        )
    )
    return {(id, seq): QUEUED if refused is None else REFUSED for id, seq, refused in rows}


def state_of(tx: Connection, conversation: Conversation, seq: int) -> str:
    """Return the state of a message in the eyes of its sender."""
    if conversation.number is not None or not conversation.realms:
        return STORED
    return states(tx, (conversation.id,)).get((conversation.id, seq), DELIVERED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message of a sender that waits."""

    conversation: str
    realm_id: int
    message_id: str
    since: int


MAX_WAITING = 1_000
"""Rows shown to one sender; more would not fit a frame."""


def of_sender(tx: Connection, sender_id: int) -> list[Waiting]:
    """Return the oldest of a sender's messages that wait."""
    m, c, o = messages.c, conversations.c, outbox.c
    rows = tx.execute(
        select(address_of(), o.realm_id, m.id, o.since)
        .select_from(
            WITH_REALMS.join(conversations, users.c.id.in_((c.low_user, c.high_user)))
            .join(outbox, and_(o.conversation_id == c.id, o.realm_id == users.c.realm_id))
            .join(messages, and_(m.conversation_id == o.conversation_id, m.seq == o.seq))
        )
        .where(m.sender_id == sender_id, o.refused.is_(None))
        .order_by(o.since, o.number)
        .limit(MAX_WAITING)
    )
    return [Waiting(*row) for row in rows]


def concerned(tx: Connection, realm_id: int) -> list[int]:
    """Return the admins, and those with messages waiting for a realm."""
    waiting = (
        select(messages.c.sender_id)
        .join(
            outbox,
            and_(
                outbox.c.conversation_id == messages.c.conversation_id,
                outbox.c.seq == messages.c.seq,
            ),
        )
        .where(outbox.c.realm_id == realm_id, outbox.c.refused.is_(None))
    )
    here = select(users.c.id).where(users.c.realm_id.is_(None))
    return list(tx.scalars(here.where(users.c.admin | users.c.id.in_(waiting))))
