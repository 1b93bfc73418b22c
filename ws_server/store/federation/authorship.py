"""Whether people of this realm wrote what other realms relay in their names.

The host of a group gives their posts their place, and may say anything. A message counts as theirs
if its post waits here, or if its id proves it, which this realm alone can make: after a restored
backup nothing else is left of what was posted since.
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
    """What a person here posts to a group that another realm hosts."""

    host: bytes
    """The host's public key."""
    group: int
    sender: str
    content: str
    """The text, or the sha256 of the file."""

    def new_id(self, secret: bytes) -> str:
        """Return an id by which this realm knows the post again, whatever it has lost."""
        id = new_id("m")
        return f"{id}.{self._mark(secret, id)}"

    def has_id(self, secret: bytes, id: str) -> bool:
        """Tell whether this very person posted just this in this group under this id."""
        bare, _, mark = id.rpartition(".")
        return hmac.compare_digest(mark.encode(), self._mark(secret, bare).encode())

    def _mark(self, secret: bytes, id: str) -> str:
        said = hashlib.sha256(self.content.encode()).digest()
        fields = (id.encode(), self.host, str(self.group).encode(), fold(self.sender).encode())
        text = b"\0".join(base64.b64encode(field) for field in fields) + said
        digest = hmac.digest(secret, text, hashlib.sha256)
        # 65 bits: an id has 40 letters, and each guess costs a row that everybody sees.
        return base64.b32encode(digest)[:13].decode().lower()


@dataclass(frozen=True, slots=True)
class Own:
    """This realm, as far as it has to know its own people's posts again."""

    key: bytes
    """Its public key."""
    secret: bytes
    """What marks their ids."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A post that its host has not given its place yet."""

    key: str | None
    content: MessageContent


def posted(tx: Connection, ids: Collection[str]) -> dict[tuple[str, int, int], Waiting]:
    """Return the posts of people here with these ids, by id, conversation and sender.

    A host may name any id, so all three have to be right.
    """
    p = posts.c
    rows = tx.execute(
        select(p.id, p.conversation_id, p.sender_id, p.idempotency_key, *POST_COLUMNS).where(
            p.id.in_(ids)
        )
    ).all()
    return {
        (id, group, sender): Waiting(key, load(tx, *said)) for id, group, sender, key, *said in rows
    }


def present(tx: Connection, group_id: int, ids: Collection[str]) -> set[str]:
    """Return which of these ids of messages are in a group already."""
    m = messages.c
    return set(tx.scalars(select(m.id).where(m.conversation_id == group_id, m.id.in_(ids))))
