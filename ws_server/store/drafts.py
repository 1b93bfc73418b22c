"""A message in three stages: requested, queued in the journal, stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import ConversationAddress
from ws_server.store.conversations import Conversation
from ws_server.store.message_content import MessageContent


@dataclass(frozen=True, slots=True)
class Storage:
    """How the file of a draft is stored."""

    quota: int
    """Bytes that all files of the sender, or of the sending realm, may have together."""
    stored: int = 0
    """Bytes of content that were stored for this message alone."""
    upload: str | None = None
    """The upload that produced the file; deleted by the commit."""


NO_FILE = Storage(0)


@dataclass(frozen=True, slots=True)
class Source:
    """The other realm that sent a draft."""

    realm_id: int
    id: str
    """The message id assigned by that realm; it is the same in every realm."""
    seq: int | None = None
    """The seq in that realm; None for a post, whose seq is assigned here."""


@dataclass(slots=True)
class Draft:
    """A message as requested by a handler or a link.

    Its fields are `Final`: checked by mypy at no cost. `frozen` would cost 0.5 µs a message.
    """

    sender: Final[int]
    target: Final[ConversationAddress]
    content: Final[MessageContent]
    key: Final[str | None] = None
    """The idempotency key."""
    storage: Final[Storage] = NO_FILE
    source: Final[Source | None] = None
    """None if it was written here."""


@dataclass(slots=True)
class Chain:
    """Entries whose order must hold: once one could not be written, all later ones are refused."""

    broken: bool = False

    def check(self) -> None:
        """Refuse an entry if an earlier one of the chain could not be written.

        Raises:
            ChatError: UNAVAILABLE.
        """
        if self.broken:
            raise ChatError(
                ErrorCode.UNAVAILABLE, "An earlier entry could not be stored, so this one was not"
            )


@dataclass(slots=True, eq=False)
class StoredMessage:
    """A stored message, as read by replies, pushes and links.

    The transaction sets `id`, `state` and `outgoing`. The acknowledgement of another realm updates
    `state` and `seq`.
    """

    conversation: Conversation
    sender: int
    sender_name: str
    """The sender's address, also if they are no longer a member."""
    address: str
    """The conversation's address, as the sender writes it."""
    id: str
    """Assigned by the realm in which the message was written."""
    seq: int
    """0 until the host of its group assigns one."""
    time: int
    content: MessageContent
    state: str
    source: int | None = None
    """The other realm that sent it, and that has the content of its file."""
    awaited: bool = False
    """The content is still to be fetched."""
    outgoing: Sequence[tuple[int, int]] = ()
    """The realms for which it is queued, each with its outbox number."""
    newcomers: Collection[int] = ()
    """Members who joined after it, and are therefore not notified."""
    is_post: bool = False
    """Written here for another realm's group, and relayed back by the host."""


@dataclass(slots=True, eq=False)
class MessageEntry:
    """A draft in the journal's queue, with the result of its commit."""

    draft: Draft
    chain: Chain | None = None
    origin: Any = None
    """The poster, for use by `done`; opaque to the journal."""
    done: Callable[[Any], None] | None = None
    payer: Hashable = None
    """The network that pays for the time it takes; None if nobody does."""
    cached: Conversation | None = None
    """The conversation from the cache, checked by the commit; if None, the commit looks it up."""
    error: ChatError | None = None
    """The refusal; None if it was stored."""
    duplicate: bool = False
    """It repeats `message`, which was stored earlier under the same key."""
    message: StoredMessage = field(init=False)
    """Set by the commit, unless the draft was refused."""

    @property
    def stray_bytes(self) -> int:
        """Bytes of content that were stored for this draft, and that no message refers to."""
        stored = self.draft.storage.stored
        if self.error is not None:
            return stored
        file, first = self.draft.content.file, self.message.content.file
        is_first = file is not None and first is not None and file.sha256 == first.sha256
        return stored if self.duplicate and not is_first else 0
