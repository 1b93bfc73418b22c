"""The outbox: rows for other realms, written with their message, deleted once acknowledged.

Row numbers rise within a realm and are never reused, so the other side acknowledges all rows it has
by one number. A row refused for good is kept for display and is not sent again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from ws_server.store.drafts import MessageEntry, StoredMessage
from ws_server.store.engines import bulk
from ws_server.store.federation.authorship import Post
from ws_server.store.federation.realms import ACTIVE
from ws_server.store.schema import outbox, posts, realms

MESSAGE, GROUP, POST, RECEIPT, CHANGE = "message", "group", "post", "receipt", "change"
"""Kinds of rows: a private message; a message of a group hosted here; a message for a group that
the other realm hosts; a read receipt; a membership change of a group hosted here."""
PROBE = "probe"
"""An empty row, with which operators test that both sides can store one."""
STORED, QUEUED, DELIVERED, REFUSED = "stored", "queued", "delivered", "refused"
MAX_ROSTERS = 16
"""Unacknowledged rosters of one group for one realm. One of a group of 5,000 has 280 KB."""
MAX_WAITING_ROWS = 100_000
"""Unacknowledged rows for one realm; above this bound, sends to the realm are refused. With texts
of at most 16 KiB, that is 1.6 GB of messages in the worst case."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a realm's outbox."""

    last: int
    """The highest row number assigned so far."""
    key: bytes
    """The public key of the realm."""
    is_open: bool
    """Whether rows other than private messages and posts are accepted; the realm fetches the
    content of rejected ones after it has reconnected. False if the realm is not active, or its
    outbox is half full: the other half is reserved for messages, so that a busy group cannot block
    them."""


def add_messages(tx: Connection, messages: Sequence[StoredMessage], now: int) -> None:
    """Enqueue messages for the realms of their recipients, and set each message's row numbers.

    Messages of a group hosted here are also sent to the sender's own realm, which learns their
    seqs from them.
    """
    of_realm: dict[int, list[StoredMessage]] = defaultdict(list)
    for message in messages:
        conversation = message.conversation
        home = conversation.members[message.sender].realm_id
        for realm_id in conversation.realms:
            if realm_id != home or conversation.number is not None:
                of_realm[realm_id].append(message)
    rows: list[tuple[object, ...]] = []
    tails = _tails(tx, of_realm)
    for realm_id, going in of_realm.items():
        if not tails[realm_id].is_open:
            going = [message for message in going if message.conversation.number is None]
        for number, message in enumerate(going, tails[realm_id].last + 1):
            message.outgoing = (*message.outgoing, (realm_id, number))
            conversation, kind = message.conversation, GROUP
            if conversation.number is None:
                kind, message.state = MESSAGE, QUEUED
            rows.append((realm_id, number, kind, conversation.id, message.seq, None, now))
    bulk.insert(tx, bulk.OUTBOX, rows)


def add_posts(tx: Connection, entries: Sequence[MessageEntry], now: int, secret: bytes) -> None:
    """Store messages for groups hosted elsewhere, and enqueue them for the hosts.

    Args:
        secret: Signs the ids, so that this realm recognises the posts when the hosts relay them.
    """
    of_realm: dict[int, list[StoredMessage]] = defaultdict(list)
    for entry in entries:
        host_id = entry.message.conversation.realm_id
        assert host_id is not None
        of_realm[host_id].append(entry.message)
    tails = _tails(tx, of_realm)
    for realm_id, going in of_realm.items():
        for message in going:
            group = message.conversation.number
            assert group is not None
            post = Post(tails[realm_id].key, group, message.sender_name, message.content.proof)
            message.id = post.new_id(secret)
    kept: list[tuple[object, ...]] = [
        (
            *(entry.message.id, entry.message.conversation.id, entry.message.sender),
            *(entry.message.time, entry.draft.key, *entry.message.content.values()),
        )
        for entry in entries
    ]
    bulk.insert(tx, bulk.POST, kept)
    rows: list[tuple[object, ...]] = []
    for realm_id, going in of_realm.items():
        for number, message in enumerate(going, tails[realm_id].last + 1):
            message.outgoing = ((realm_id, number),)
            rows.append((realm_id, number, POST, message.conversation.id, None, message.id, now))
    bulk.insert(tx, bulk.OUTBOX, rows)


def enqueue(
    tx: Connection,
    realm_id: int,
    kind: str,
    conversation_id: int | None,
    body: dict[str, Any],
    now: int,
) -> bool:
    """Enqueue a row that is not a message; return whether it was accepted.

    A receipt replaces a pending one of the same reader and conversation. A roster replaces the
    newest pending one of its group, if MAX_ROSTERS are pending.
    """
    text = orjson.dumps(body).decode()
    tail = _tails(tx, (realm_id,))[realm_id]
    if not tail.is_open:
        return False
    number = tail.last + 1
    if kind == RECEIPT:
        waiting = select(outbox.c.number, outbox.c.body).where(
            outbox.c.realm_id == realm_id,
            outbox.c.kind == RECEIPT,
            outbox.c.conversation_id == conversation_id,
        )
        for old, old_body in tx.execute(waiting).all():
            if orjson.loads(old_body)["from"] == body["from"]:
                tx.execute(
                    delete(outbox).where(outbox.c.realm_id == realm_id, outbox.c.number == old)
                )
    elif kind == CHANGE:
        _make_room_for_roster(tx, realm_id, conversation_id)
    tx.execute(
        insert(outbox).values(
            realm_id=realm_id,
            number=number,
            kind=kind,
            conversation_id=conversation_id,
            body=text,
            since=now,
        )
    )
    return True


def _make_room_for_roster(tx: Connection, realm_id: int, group_id: int | None) -> None:
    """Delete the newest pending roster of a group if MAX_ROSTERS are pending.

    A roster names all members, so the next one says what the deleted one did, but for the reason.
    """
    waiting = (
        select(outbox.c.number)
        .where(outbox.c.conversation_id == group_id, outbox.c.realm_id == realm_id)
        .where(outbox.c.kind == CHANGE, outbox.c.refused.is_(None))
        .order_by(outbox.c.number.desc())
        .limit(MAX_ROSTERS)
    )
    numbers = list(tx.scalars(waiting))
    if len(numbers) == MAX_ROSTERS:
        tx.execute(
            delete(outbox).where(outbox.c.realm_id == realm_id, outbox.c.number == numbers[0])
        )


# Built once: it runs for every batch with messages for other realms.
_TAILS = select(
    realms.c.id,
    realms.c.state,
    realms.c.confirmed,
    realms.c.public_key,
    select(func.max(outbox.c.number)).where(outbox.c.realm_id == realms.c.id).scalar_subquery(),
).where(realms.c.id.in_(bindparam("realm_ids", expanding=True)))


def _tails(tx: Connection, realm_ids: Collection[int]) -> dict[int, Tail]:
    """Return the ends of these realms' outboxes, by realm id."""
    tails: dict[int, Tail] = {}
    if not realm_ids:
        return tails
    for realm_id, state, confirmed, key, number in tx.execute(
        _TAILS, {"realm_ids": list(realm_ids)}
    ):
        last = max(number or 0, confirmed)
        # Numbers are not reused, so the difference is an upper bound of the pending rows.
        tails[realm_id] = Tail(
            last, key, state == ACTIVE and last - confirmed < MAX_WAITING_ROWS // 2
        )
    return tails


@dataclass(frozen=True, slots=True)
class Cleared:
    """The result of an acknowledgement."""

    moved: bool = False
    """The other realm acknowledged a number that was never assigned here: it counts rows that it
    received from this realm under another name and an older key. Pending rows were renumbered
    above that number."""
    overfull: bool = False
    """The outbox was so full that some rows may have been dropped."""


# Built once: links run them many times a second.
_FORGET = delete(outbox).where(
    outbox.c.realm_id == bindparam("of"),
    outbox.c.number <= bindparam("up_to"),
    outbox.c.refused.is_(None),
)
_CONFIRMED = (
    update(realms)
    .where(realms.c.id == bindparam("of"), realms.c.confirmed < bindparam("up_to"))
    .values(confirmed=bindparam("up_to"))
)


def confirm(tx: Connection, realm_id: int, up_to: int, refused: dict[int, str]) -> Cleared:
    """Delete the rows acknowledged up to a number, and record the codes of those refused."""
    tail = _tails(tx, (realm_id,))[realm_id]
    if up_to > tail.last:
        _shift(tx, realm_id, up_to)
        return Cleared(moved=True)
    for number, code in refused.items():
        this = and_(outbox.c.realm_id == realm_id, outbox.c.number == number)
        _refuse(tx, this, code)
    tx.execute(_FORGET, {"of": realm_id, "up_to": up_to})
    tx.execute(_CONFIRMED, {"of": realm_id, "up_to": up_to})
    return Cleared(overfull=not tail.is_open)


def _shift(tx: Connection, realm_id: int, by: int) -> None:
    """Shift the numbers of all rows of a realm; `by` is at least the highest, so none collide."""
    moved = update(outbox).where(outbox.c.realm_id == realm_id)
    tx.execute(moved.values(number=outbox.c.number + by))
    tx.execute(update(realms).where(realms.c.id == realm_id).values(confirmed=by))


def renumber(tx: Connection, realm_id: int, other_id: int) -> None:
    """Renumber the outboxes of two realms that swap keys, so that neither key has seen a number.

    The holder of a key counts the row numbers of the realm that had the key before; a reused
    number would count as delivered.
    """
    tails = _tails(tx, (realm_id, other_id))
    theirs = tails[other_id].last
    last = max(theirs, tails[realm_id].last)
    if theirs:
        _shift(tx, realm_id, last)
    tx.execute(update(realms).where(realms.c.id == other_id).values(confirmed=last))


def refuse_all(tx: Connection, realm_id: int, code: str) -> None:
    """Refuse all pending rows of a realm for good; they are not sent again."""
    waiting = and_(outbox.c.realm_id == realm_id, outbox.c.refused.is_(None))
    _refuse(tx, waiting, code)
    tx.execute(delete(outbox).where(waiting))


def refuse_posts(tx: Connection, realm_id: int, code: str) -> None:
    """Refuse, for good, all pending posts to the groups that a realm hosts."""
    waiting = and_(outbox.c.realm_id == realm_id, outbox.c.kind == POST, outbox.c.refused.is_(None))
    _refuse(tx, waiting, code)


def _refuse(tx: Connection, which: ColumnElement[bool], code: str) -> None:
    """Record why messages were refused; rows of other kinds need no record."""
    refused = select(outbox.c.body).where(which, outbox.c.kind == POST)
    tx.execute(update(posts).where(posts.c.id.in_(refused)).values(refused=code))
    tx.execute(update(outbox).where(which, outbox.c.kind.in_((MESSAGE, POST))).values(refused=code))
