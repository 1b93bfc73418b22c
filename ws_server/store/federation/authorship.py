"""Authorship of messages that other realms relay in the names of local users.

The host of a group assigns a seq to each post and could forge any of them. A message is attributed
to a local user if its post is pending here, or if its id carries this realm's signature. After a
restored backup, the signature is the only trace of later posts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from shared.protocol.values import fold
from ws_server.store.ids import new_id
from ws_server.store.message_content import POST_COLUMNS, MessageContent, load
from ws_server.store.schema import messages, posts


@dataclass(frozen=True, slots=True)
class Post:
    """A local user's message for a group that another realm hosts."""

    host: bytes
    """The host's public key."""
    group: int
    sender: str
    content: str
    """The text, or the sha256 of the file."""

    def new_id(self, secret: bytes) -> str:
        """Return a signed id; this realm recognises the post by it even after losing its data."""
        id = new_id("m")
        return f"{id}.{self._mark(secret, id)}"

    def has_id(self, secret: bytes, id: str) -> bool:
        """Return whether this sender posted this content in this group under this id."""
        bare, _, mark = id.rpartition(".")
        return hmac.compare_digest(mark.encode(), self._mark(secret, bare).encode())

    def _mark(self, secret: bytes, id: str) -> str:
        content_digest = hashlib.sha256(self.content.encode()).digest()
        fields = (id.encode(), self.host, str(self.group).encode(), fold(self.sender).encode())
        text = b"\0".join(base64.b64encode(field) for field in fields) + content_digest
        digest = hmac.digest(secret, text, hashlib.sha256)
        # 65 bits: an id has 40 characters, and each guess costs a row that all members see.
        return base64.b32encode(digest)[:13].decode().lower()


@dataclass(frozen=True, slots=True)
class Own:
    """The keys by which this realm recognises posts of its own users."""

    key: bytes
    """This realm's public key."""
    secret: bytes
    """The secret that signs the ids of posts."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A post to which the host has not yet assigned a seq."""

    key: str | None
    content: MessageContent


def posted(tx: Connection, ids: Collection[str]) -> dict[tuple[str, int, int], Waiting]:
    """Return pending posts of local users by id, conversation and sender.

    A host may name any id, so the caller must compare all three.
    """
    p = posts.c
    rows = tx.execute(
        select(p.id, p.conversation_id, p.sender_id, p.idempotency_key, *POST_COLUMNS).where(
            p.id.in_(ids)
        )
    ).all()
    return {
        (id, group, sender): Waiting(key, load(tx, *columns))
        for id, group, sender, key, *columns in rows
    }


def present(tx: Connection, group_id: int, ids: Collection[str]) -> set[str]:
    """Return which of these message ids are stored in a group."""
    m = messages.c
    return set(tx.scalars(select(m.id).where(m.conversation_id == group_id, m.id.in_(ids))))
