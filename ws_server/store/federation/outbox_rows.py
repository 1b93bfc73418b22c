"""Outbox rows in the form a link carries: built from a fresh commit, or read from the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, and_, func, select

from shared.protocol import base64
from ws_server.store.drafts import StoredMessage
from ws_server.store.federation.outbox import GROUP, MESSAGE, POST
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.message_content import (
    COLUMNS,
    FILE_COLUMNS,
    MessageContent,
    either,
    from_row,
    load,
)
from ws_server.store.schema import conversations, files, messages, outbox, posts, realms, users


@dataclass(frozen=True, slots=True)
class LocalMessage:
    """The message of a local user that a row carries."""

    sender_id: int
    conversation: str
    """Its address, as the sender sees it."""
    id: str
    seq: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """One outbox row, ready to be sent."""

    number: int
    kind: str
    body: dict[str, Any]
    """The fields sent on the link, besides number and kind."""
    own: LocalMessage | None = None

    def on_link(self) -> bytes:
        """Return the row as JSON for the link."""
        return orjson.dumps({"number": self.number, "kind": self.kind, **self.body})


def private(message: StoredMessage, number: int) -> Item:
    """Return the row of a private message that was just committed."""
    body = {
        "from": message.sender_name,
        "to": message.address.partition("@")[0],
        **content(message.id, message.seq, message.time, message.content),
    }
    return Item(number, MESSAGE, body, _own(message, message.seq))


def _own(message: StoredMessage, seq: int | None) -> LocalMessage:
    return LocalMessage(message.sender, message.address, message.id, seq)


def content(id: str, seq: int | None, time: int, message: MessageContent) -> dict[str, Any]:
    """Return the fields that message rows of every kind have in common."""
    numbered = {} if seq is None else {"seq": seq}
    return {"id": id, "time": time, **numbered, **message.on_link()}


def post(message: StoredMessage, number: int) -> Item:
    """Return the row of a just committed message for a group hosted elsewhere."""
    body = {
        "group": message.conversation.number,
        "from": message.sender_name,
        **content(message.id, None, message.time, message.content),
    }
    return Item(number, POST, body, _own(message, None))


def relayed(message: StoredMessage, number: int, home: KnownRealm | None) -> Item:
    """Return the row of a just committed message of a group hosted here.

    Args:
        home: The sender's realm; None for this one.
    """
    name = message.sender_name.partition("@")[0]
    body = {
        "group": message.conversation.number,
        "from": speaker(name, home.name if home else None, home.public_key if home else None),
        **content(message.id, message.seq, message.time, message.content),
    }
    return Item(number, GROUP, body)


def read(tx: Connection, realm_id: int, after: int, limit: int) -> list[Item]:
    """Return at most `limit` unrefused rows of a realm after number `after`, by number."""
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
            m.sender_id,
            func.coalesce(m.time, p.time).label("time"),
            sender.c.name.label("sender"),
            home.c.name.label("home"),
            home.c.public_key,
            other.c.name.label("other"),
            p.sender_id.label("poster_id"),
            poster.c.name.label("poster"),
            *either(),
            *FILE_COLUMNS,
        )
        .select_from(
            outbox.outerjoin(conversations, c.id == o.conversation_id)
            .outerjoin(host, host.c.id == c.realm_id)
            .outerjoin(messages, and_(m.conversation_id == c.id, m.seq == o.seq))
            .outerjoin(sender, sender.c.id == m.sender_id)
            .outerjoin(home, home.c.id == sender.c.realm_id)
            .outerjoin(
                other, and_(other.c.id.in_((c.low_user, c.high_user)), other.c.realm_id == realm_id)
            )
            .outerjoin(posts, and_(o.kind == POST, p.id == o.body))
            .outerjoin(poster, poster.c.id == p.sender_id)
            .outerjoin(files, files.c.id == func.coalesce(m.file_id, p.file_id))
        )
        .where(o.realm_id == realm_id, o.number > after, o.refused.is_(None))
        .order_by(o.number)
        .limit(limit)
    )
    realm_name = tx.scalar(select(realms.c.name).where(realms.c.id == realm_id)) or ""
    found = (
        _placed(tx, row) if row.kind == POST and row.poster_id is None else _item(row, realm_name)
        for row in rows
    )
    return [item for item in found if item is not None]


def _placed(tx: Connection, row: Any) -> Item | None:
    """Return a post that the host has already relayed, though its row is not acknowledged.

    None if the message is in neither table, so that nothing can be sent.
    """
    found = tx.execute(
        select(users.c.name, messages.c.time, *COLUMNS)
        .join(users, users.c.id == messages.c.sender_id)
        .where(messages.c.conversation_id == row.conversation_id, messages.c.id == row.body)
        .order_by(messages.c.seq.desc())
        .limit(1)
    ).first()
    if found is None:
        return None
    name, time, *columns = found
    body = {
        "group": row.group,
        "from": name,
        **content(row.body, None, time, load(tx, *columns)),
    }
    return Item(row.number, POST, body)


def _item(row: Any, realm_name: str) -> Item:
    if row.kind not in (MESSAGE, GROUP, POST):
        return Item(row.number, row.kind, orjson.loads(row.body))
    message = from_row(row)
    if row.kind == MESSAGE:
        body = {
            "from": row.sender,
            "to": row.other,
            **content(row.id, row.seq, row.time, message),
        }
        own = LocalMessage(row.sender_id, f"{row.other}@{realm_name}", row.id, row.seq)
        return Item(row.number, MESSAGE, body, own)
    if row.kind == GROUP:
        body = {
            "group": row.group,
            "from": speaker(row.sender, row.home, row.public_key),
            **content(row.id, row.seq, row.time, message),
        }
        return Item(row.number, GROUP, body)
    body = {
        "group": row.group,
        "from": row.poster,
        **content(row.body, None, row.time, message),
    }
    own = LocalMessage(row.poster_id, f"#{row.group}@{row.host}", row.body, None)
    return Item(row.number, POST, body, own)


def speaker(name: str, realm: str | None, public_key: bytes | None) -> dict[str, str]:
    """Return how a host names a member to other realms: its own users by their name alone.

    Args:
        name: The name in the member's own realm; `carol@gamma` for a user of a third realm that
            the host knows only through a second one.
        realm: The host's name for the member's realm.
    """
    if public_key is None:
        return {"name": name}
    key = base64.written(public_key)
    return {"name": name, "realm": realm or "", "key": key}
