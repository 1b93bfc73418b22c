"""A message in three stages: asked for, in the journal's queue, and on disk."""

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
    """Bytes that all files of the sender, or of its realm, may have together."""
    stored: int = 0
    """Bytes of content that were stored for this message alone."""
    upload: str | None = None
    """The upload whose file this is; it ends with the commit."""


NO_FILE = Storage(0)


@dataclass(frozen=True, slots=True)
class Source:
    """The other realm that has sent a draft."""

    realm_id: int
    id: str
    """What that realm calls the message, and every realm then does."""
    seq: int | None = None
    """Its seq there; None for a post, which has none before it is written here."""


@dataclass(slots=True)
class Draft:
    """A message as a handler or a link asks for it.

    `Final` lets nobody change it and costs nothing; `frozen` costs each message 0.5 µs.
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
    """Entries of which none may be written once one could not be, so that their order holds."""

    broken: bool = False

    def check(self) -> None:
        """Refuse what comes behind one that could not be written.

        Raises:
            ChatError: UNAVAILABLE.
        """
        if self.broken:
            raise ChatError(ErrorCode.UNAVAILABLE, "What came before this could not be stored")


@dataclass(slots=True, eq=False)
class StoredMessage:
    """A message as replies, pushes and links read it.

    The transaction sets `id`, `state` and `outgoing`. The answer of another realm moves `state`
    and `seq`.
    """

    conversation: Conversation
    sender: int
    sender_name: str
    """The sender's address; they need not be a member any more."""
    address: str
    """The conversation's, as its sender writes it."""
    id: str
    """Given by the realm in which it was written."""
    seq: int
    """0 while the host of its group has not given it a place."""
    time: int
    content: MessageContent
    state: str
    source: int | None = None
    """The other realm that has sent it, and has the content of its file."""
    awaited: bool = False
    """The content is not here yet."""
    outgoing: Sequence[tuple[int, int]] = ()
    """The realms it now waits for, each with its number in the outbox."""
    newcomers: Collection[int] = ()
    """Members who joined behind it, for whom it is history and no news."""
    is_post: bool = False
    """Written here for another realm's group, and given its place by the host."""


@dataclass(slots=True, eq=False)
class MessageEntry:
    """A draft in the journal's queue, and what the commit has made of it."""

    draft: Draft
    chain: Chain | None = None
    origin: Any = None
    """Whoever posted it, for `done`; the journal does not look at it."""
    done: Callable[[Any], None] | None = None
    payer: Hashable = None
    """The network that pays for the time it takes; None if nobody does."""
    cached: Conversation | None = None
    """The conversation from the cache; checked by the commit, looked up by it if None."""
    error: ChatError | None = None
    """Why it was refused."""
    duplicate: bool = False
    """It repeats `message`, which was written before under the same key."""
    message: StoredMessage = field(init=False)
    """Set by the commit, unless it was refused."""

    @property
    def stray_bytes(self) -> int:
        """Bytes of content that were stored for it, and that no message carries."""
        stored = self.draft.storage.stored
        if self.error is not None:
            return stored
        file, first = self.draft.content.file, self.message.content.file
        is_first = file is not None and first is not None and file.sha256 == first.sha256
        return stored if self.duplicate and not is_first else 0
