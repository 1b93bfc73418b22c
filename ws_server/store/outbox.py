"""What waits for other realms: written with its message, gone once the other side has it.

A row's number rises with each row of its realm and is never used again, so the other side can tell
what it has by one number. A row that was refused for ever stays, to be seen, and is not sent again.
"""

from __future__ import annotations

import binascii
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from ws_server.store import bulk
from ws_server.store.schema import conversations, messages, outbox, posts, realms, users

if TYPE_CHECKING:
    from ws_server.store.conversations import Conversation
    from ws_server.store.messages import Draft
    from ws_server.store.realms import KnownRealm

MESSAGE, GROUP, POST, RECEIPT, CHANGE = "message", "group", "post", "receipt", "change"
"""A private message; one of a group hosted here; one for a group hosted there; how far somebody
has read; a change of a group hosted here."""
STORED, QUEUED, DELIVERED, REFUSED = "stored", "queued", "delivered", "refused"


@dataclass(frozen=True, slots=True)
class Own:
    """The message of a person here that a row carries."""

    sender_id: int
    conversation: str
    """As the sender sees it."""
    id: str
    seq: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """One row on its way to another realm."""

    number: int
    kind: str
    body: dict[str, Any]
    """What the link carries, besides number and kind."""
    own: Own | None = None

    def on_link(self) -> bytes:
        """Return the row as a link carries it."""
        return orjson.dumps({"number": self.number, "kind": self.kind, **self.body})


def private(draft: Draft, realm_id: int, number: int) -> Item:
    """Return the row of a private message that was just written."""
    conversation = draft.conversation
    assert conversation is not None
    other = next(m for m in conversation.members.values() if m.realm_id == realm_id)
    body = {
        "from": conversation.members[draft.sender].name,
        "to": other.name.partition("@")[0],
        **_content(draft.id, draft.seq, draft.time, draft.text),
    }
    return Item(number, MESSAGE, body, Own(draft.sender, other.name, draft.id, draft.seq))


def _content(id: str, seq: int | None, time: int, text: str) -> dict[str, Any]:
    content: dict[str, Any] = {"id": id, "time": time, "text": text}
    return content if seq is None else {"seq": seq, **content}


def add_messages(tx: Connection, drafts: Sequence[Draft], now: int) -> None:
    """Let messages wait for the realms of their recipients, and give each its numbers there.

    What goes to a group hosted here goes to the realm of its sender too, which learns its place.
    """
    of_realm: dict[int, list[Draft]] = defaultdict(list)
    for draft in drafts:
        conversation = draft.conversation
        assert conversation is not None
        home = conversation.members[draft.sender].realm_id
        for realm_id in conversation.realms:
            if realm_id != home or conversation.number is not None:
                of_realm[realm_id].append(draft)
    rows: list[tuple[object, ...]] = []
    for realm_id, going in of_realm.items():
        for number, draft in enumerate(going, _last_number(tx, realm_id) + 1):
            assert draft.conversation is not None
            draft.outgoing.append((realm_id, number))
            kind = GROUP
            if draft.conversation.number is None:
                kind, draft.state = MESSAGE, QUEUED
            rows.append((realm_id, number, kind, draft.conversation.id, draft.seq, None, now))
    bulk.insert_outbox(tx, rows)


def add_posts(tx: Connection, drafts: Sequence[Draft], now: int) -> None:
    """Keep messages for groups hosted elsewhere, and let them wait for the hosts."""
    of_realm: dict[int, list[Draft]] = defaultdict(list)
    for draft in drafts:
        assert draft.conversation is not None and draft.conversation.realm_id is not None
        of_realm[draft.conversation.realm_id].append(draft)
        draft.state = QUEUED
    kept = [
        {
            "id": draft.id,
            "conversation_id": draft.conversation.id if draft.conversation else None,
            "sender_id": draft.sender,
            "time": draft.time,
            "text": draft.text,
            "idempotency_key": draft.key,
        }
        for draft in drafts
    ]
    tx.execute(insert(posts), kept)
    rows: list[tuple[object, ...]] = []
    for realm_id, going in of_realm.items():
        for number, draft in enumerate(going, _last_number(tx, realm_id) + 1):
            assert draft.conversation is not None
            draft.outgoing.append((realm_id, number))
            rows.append((realm_id, number, POST, draft.conversation.id, None, draft.id, now))
    bulk.insert_outbox(tx, rows)


def post(draft: Draft, number: int) -> Item:
    """Return the row of a message for a group hosted elsewhere that was just written."""
    group = draft.conversation
    assert group is not None
    body = {
        "group": group.number,
        "from": group.members[draft.sender].name,
        **_content(draft.id, None, draft.time, draft.text),
    }
    return Item(number, POST, body, Own(draft.sender, group.address(draft.sender), draft.id, None))


def relayed(draft: Draft, number: int, home: KnownRealm | None) -> Item:
    """Return the row of a message of a group hosted here that was just written.

    Args:
        home: The sender's realm, if it is another one.
    """
    group = draft.conversation
    assert group is not None
    name = group.members[draft.sender].name.partition("@")[0]
    who = speaker(name, home.name if home else None, home.public_key if home else None)
    body = {
        "group": group.number,
        "from": who,
        **_content(draft.id, draft.seq, draft.time, draft.text),
    }
    return Item(number, GROUP, body)


def say(
    tx: Connection, realm_id: int, kind: str, conversation_id: int, body: dict[str, Any], now: int
) -> None:
    """Let something else than a message wait for a realm.

    A receipt takes the place of one that waits for the same reader and conversation.
    """
    text = orjson.dumps(body).decode()
    number = _last_number(tx, realm_id) + 1
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


def _last_number(tx: Connection, realm_id: int) -> int:
    """Return the highest number that was ever given to a row of a realm."""
    waiting = tx.scalar(select(func.max(outbox.c.number)).where(outbox.c.realm_id == realm_id))
    confirmed = tx.scalar(select(realms.c.confirmed).where(realms.c.id == realm_id))
    return max(waiting or 0, confirmed or 0)


def items(tx: Connection, realm_id: int, after: int, limit: int) -> list[Item]:
    """Return what is to be sent to a realm after a number, in order."""
    o, m, c, p = outbox.c, messages.c, conversations.c, posts.c
    sender, home, other = users.alias("sender"), realms.alias("home"), users.alias("other")
    host, poster = realms.alias("host"), users.alias("poster")
    rows = tx.execute(
        select(
            o.number,
            o.kind,
            o.body,
            o.conversation_id,
            c.number.label("group"),
            host.c.name.label("host"),
            m.id,
            m.seq,
            m.time,
            m.text,
            m.sender_id,
            sender.c.name.label("sender"),
            home.c.name.label("home"),
            home.c.public_key,
            other.c.name.label("other"),
            p.sender_id.label("poster_id"),
            poster.c.name.label("poster"),
            p.time.label("posted"),
            p.text.label("post"),
        )
        .select_from(
            outbox.join(conversations, c.id == o.conversation_id)
            .outerjoin(host, host.c.id == c.realm_id)
            .outerjoin(messages, and_(m.conversation_id == c.id, m.seq == o.seq))
            .outerjoin(sender, sender.c.id == m.sender_id)
            .outerjoin(home, home.c.id == sender.c.realm_id)
            .outerjoin(
                other, and_(other.c.id.in_((c.low_user, c.high_user)), other.c.realm_id == realm_id)
            )
            .outerjoin(posts, and_(o.kind == POST, p.id == o.body))
            .outerjoin(poster, poster.c.id == p.sender_id)
        )
        .where(o.realm_id == realm_id, o.number > after, o.refused.is_(None))
        .order_by(o.number)
        .limit(limit)
    )
    realm_name = tx.scalar(select(realms.c.name).where(realms.c.id == realm_id)) or ""
    return [
        _placed(tx, row) if row.kind == POST and row.poster_id is None else _item(row, realm_name)
        for row in rows
    ]


def _placed(tx: Connection, row: Any) -> Item:
    """Return a post that has its place already, though the host has not confirmed the row."""
    found = tx.execute(
        select(messages.c.time, messages.c.text, users.c.name)
        .join(users, users.c.id == messages.c.sender_id)
        .where(messages.c.conversation_id == row.conversation_id, messages.c.id == row.body)
        .order_by(messages.c.seq.desc())
        .limit(1)
    ).one()
    content = _content(row.body, None, found.time, found.text)
    return Item(row.number, POST, {"group": row.group, "from": found.name, **content})


def _item(row: Any, realm_name: str) -> Item:
    if row.kind == MESSAGE:
        body = {
            "from": row.sender,
            "to": row.other,
            **_content(row.id, row.seq, row.time, row.text),
        }
        own = Own(row.sender_id, f"{row.other}@{realm_name}", row.id, row.seq)
        return Item(row.number, MESSAGE, body, own)
    if row.kind == GROUP:
        body = {
            "group": row.group,
            "from": speaker(row.sender, row.home, row.public_key),
            **_content(row.id, row.seq, row.time, row.text),
        }
        return Item(row.number, GROUP, body)
    if row.kind == POST:
        body = {
            "group": row.group,
            "from": row.poster,
            **_content(row.body, None, row.posted, row.post),
        }
        own = Own(row.poster_id, f"#{row.group}@{row.host}", row.body, None)
        return Item(row.number, POST, body, own)
    return Item(row.number, row.kind, orjson.loads(row.body))


def speaker(name: str, realm: str | None, public_key: bytes | None) -> dict[str, str]:
    """Return how a host names a member to other realms: its own people by their name alone.

    Args:
        name: In the member's own realm, or `carol@gamma` of a third one as told by a second.
        realm: What the member's realm is called by the host.
    """
    if public_key is None:
        return {"name": name}
    key = binascii.b2a_base64(public_key, newline=False).decode()
    return {"name": name, "realm": realm or "", "key": key}


def confirm(tx: Connection, realm_id: int, up_to: int, refused: dict[int, str]) -> None:
    """Forget what the other realm has, up to a number, and keep why it refused some of it."""
    up_to = min(up_to, _last_number(tx, realm_id))  # it may claim to have what never was
    for number, code in refused.items():
        this = and_(outbox.c.realm_id == realm_id, outbox.c.number == number)
        _refuse(tx, this, code)
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


def renumber(tx: Connection, realm_id: int, other_id: int) -> None:
    """Let two realms that change keys number their rows so that neither key has seen a number.

    Whoever holds a key counts the numbers of the realm that had it; a row with one of those would
    pass for sent.
    """
    theirs = _last_number(tx, other_id)
    last = max(theirs, _last_number(tx, realm_id))
    if theirs:
        moved = update(outbox).where(outbox.c.realm_id == realm_id)
        tx.execute(moved.values(number=outbox.c.number + last))
    for id in (realm_id, other_id) if theirs else (other_id,):
        tx.execute(update(realms).where(realms.c.id == id).values(confirmed=last))


def refuse_all(tx: Connection, realm_id: int, code: str) -> None:
    """Refuse what waits for a realm for ever; it is not sent again."""
    waiting = and_(outbox.c.realm_id == realm_id, outbox.c.refused.is_(None))
    _refuse(tx, waiting, code)
    tx.execute(delete(outbox).where(waiting))


def _refuse(tx: Connection, which: ColumnElement[bool], code: str) -> None:
    """Keep why messages were refused; of other rows nothing needs to be kept."""
    refused = select(outbox.c.body).where(which, outbox.c.kind == POST)
    tx.execute(update(posts).where(posts.c.id.in_(refused)).values(refused=code))
    tx.execute(update(outbox).where(which, outbox.c.kind.in_((MESSAGE, POST))).values(refused=code))


def count(tx: Connection, realm_id: int) -> int:
    """Return how many rows wait for a realm."""
    here = and_(outbox.c.realm_id == realm_id, outbox.c.refused.is_(None))
    return tx.scalar(select(func.count()).where(here)) or 0


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
            outbox.c.conversation_id.in_(conversation_ids), outbox.c.kind == MESSAGE
        )
    )
    return {(id, seq): QUEUED if refused is None else REFUSED for id, seq, refused in rows}


def state_of(tx: Connection, conversation: Conversation, seq: int) -> str:
    """Return the state of a message in the eyes of its sender."""
    if conversation.realm_id is not None:
        return DELIVERED
    if conversation.number is not None or not conversation.realms:
        return STORED
    return states(tx, (conversation.id,)).get((conversation.id, seq), DELIVERED)
