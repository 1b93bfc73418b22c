"""Whether people of this realm wrote what other realms relay in their names.

The host of a group gives their posts their place, and may say anything. A message counts as theirs
if its post waits here, or if its id proves it, which this realm alone can make: after a restored
backup nothing else is left of what was posted since.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from shared.protocol.values import fold
from ws_server.store.ids import new_id
from ws_server.store.schema import messages, posts

if TYPE_CHECKING:
    from ws_server.store.conversations import Conversation
    from ws_server.store.realms import KnownRealm
    from ws_server.store.replicas import Relayed
    from ws_server.store.users import User


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

    text: str
    key: str | None
    file_id: str | None
    bot: bool


def posted(tx: Connection, relayed: Sequence[Relayed]) -> dict[tuple[str, int, int], Waiting]:
    """Return the posts of people here among messages, by id, conversation and sender.

    A host may name any id, so all three have to be right.
    """
    p = posts.c
    rows = tx.execute(
        select(
            *(p.id, p.conversation_id, p.sender_id),
            *(p.text, p.idempotency_key, p.file_id, p.bot),
        ).where(p.id.in_([message.id for message in relayed]))
    )
    return {(id, group, sender): Waiting(*post) for id, group, sender, *post in rows}


def has_proof(message: Relayed, sender: User, host: KnownRealm, own: Own) -> bool:
    """Tell whether the id of a message proves that the person posted it in this group."""
    content = message.file.sha256 if message.file else message.text
    post = Post(host.public_key, message.group, sender.name, content)
    return post.has_id(own.secret, message.id)


def present(tx: Connection, group: Conversation, relayed: Sequence[Relayed]) -> set[str]:
    """Return which ids of messages are in a group already."""
    m = messages.c
    ids = [message.id for message in relayed]
    return set(tx.scalars(select(m.id).where(m.conversation_id == group.id, m.id.in_(ids))))
