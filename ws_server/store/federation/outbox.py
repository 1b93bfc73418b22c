"""What waits for other realms: written with its message, gone once the other side has it.

A row's number rises with each row of its realm and is never used again, so the other side can tell
what it has by one number. A row that was refused for ever stays, to be seen, and is not sent again.
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
"""A private message; one of a group hosted here; one for a group hosted there; how far somebody
has read; a change of a group hosted here."""
PROBE = "probe"
"""Nothing but a row, by which operators see that both sides can store one."""
STORED, QUEUED, DELIVERED, REFUSED = "stored", "queued", "delivered", "refused"
MAX_WAITING_ROWS = 100_000
"""Rows that may wait for a realm; then nobody can send there until it has taken some. With texts
of at most 16 KiB that is 1.6 GB of messages at the very worst."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the rows for a realm end."""

    last: int
    """The highest number that was ever given to one."""
    key: bytes
    """The public key of the realm."""
    is_open: bool
    """Whether it takes rows that it would also find by itself when it links again: not if it is
    blocked or removed, or half as many wait as may. The other half is for private messages, so
    that a busy group does not keep them out."""


def add_messages(tx: Connection, messages: Sequence[StoredMessage], now: int) -> None:
    """Let messages wait for the realms of their recipients, and give each its numbers there.

    What goes to a group hosted here goes to the realm of its sender too, which learns its place.
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
    """Keep messages for groups hosted elsewhere, and let them wait for the hosts.

    Args:
        secret: Marks their ids, by which they are known again when the hosts relay them.
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
    """Let something else than a message wait for a realm, and tell whether it does.

    A receipt takes the place of one that waits for the same reader and conversation.
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
        for old, said in tx.execute(waiting).all():
            if orjson.loads(said)["from"] == body["from"]:
                tx.execute(
                    delete(outbox).where(outbox.c.realm_id == realm_id, outbox.c.number == old)
                )
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


# Made once: it runs for every batch with messages for other realms.
_TAILS = select(
    realms.c.id,
    realms.c.state,
    realms.c.confirmed,
    realms.c.public_key,
    select(func.max(outbox.c.number)).where(outbox.c.realm_id == realms.c.id).scalar_subquery(),
).where(realms.c.id.in_(bindparam("realm_ids", expanding=True)))


def _tails(tx: Connection, realm_ids: Collection[int]) -> dict[int, Tail]:
    """Return where the rows of these realms end."""
    tails: dict[int, Tail] = {}
    if not realm_ids:
        return tails
    for realm_id, state, confirmed, key, number in tx.execute(
        _TAILS, {"realm_ids": list(realm_ids)}
    ):
        last = max(number or 0, confirmed)
        # Numbers are not used again, so this counts what waits, or more.
        tails[realm_id] = Tail(
            last, key, state == ACTIVE and last - confirmed < MAX_WAITING_ROWS // 2
        )
    return tails


@dataclass(frozen=True, slots=True)
class Cleared:
    """What came to light when rows were confirmed."""

    moved: bool = False
    """The other realm has a number that was never given here: it counts what it had from this
    realm by another name, with a key it has no more. What waits has new numbers, above that."""
    overfull: bool = False
    """So much waited that some of it may not have been noted."""


# Made once, as links run them many times a second.
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
    """Forget what the other realm has, up to a number, and keep why it refused some of it."""
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
    """Add to the numbers of all rows of a realm, at least the highest of them, so none meet."""
    moved = update(outbox).where(outbox.c.realm_id == realm_id)
    tx.execute(moved.values(number=outbox.c.number + by))
    tx.execute(update(realms).where(realms.c.id == realm_id).values(confirmed=by))


def renumber(tx: Connection, realm_id: int, other_id: int) -> None:
    """Let two realms that change keys number their rows so that neither key has seen a number.

    Whoever holds a key counts the numbers of the realm that had it; a row with one of those would
    pass for sent.
    """
    tails = _tails(tx, (realm_id, other_id))
    theirs = tails[other_id].last
    last = max(theirs, tails[realm_id].last)
    if theirs:
        _shift(tx, realm_id, last)
    tx.execute(update(realms).where(realms.c.id == other_id).values(confirmed=last))


def refuse_all(tx: Connection, realm_id: int, code: str) -> None:
    """Refuse what waits for a realm for ever; it is not sent again."""
    waiting = and_(outbox.c.realm_id == realm_id, outbox.c.refused.is_(None))
    _refuse(tx, waiting, code)
    tx.execute(delete(outbox).where(waiting))


def refuse_posts(tx: Connection, realm_id: int, code: str) -> None:
    """Refuse what waits for the groups that a realm hosts, for ever."""
    waiting = and_(outbox.c.realm_id == realm_id, outbox.c.kind == POST, outbox.c.refused.is_(None))
    _refuse(tx, waiting, code)


def _refuse(tx: Connection, which: ColumnElement[bool], code: str) -> None:
    """Keep why messages were refused; of other rows nothing needs to be kept."""
    refused = select(outbox.c.body).where(which, outbox.c.kind == POST)
    tx.execute(update(posts).where(posts.c.id.in_(refused)).values(refused=code))
    tx.execute(update(outbox).where(which, outbox.c.kind.in_((MESSAGE, POST))).values(refused=code))
