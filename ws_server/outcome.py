"""The effects of a change once it is on disk; `publications.publish` applies them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.protocol.records import Event
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import StoredMessage


@dataclass(slots=True)
class Publication:
    """An event, and the users whose sessions get it, except the session that caused it."""

    event: Event
    users: Collection[int]


@dataclass(slots=True)
class Outcome:
    """The reply, the events, and the changes of the cache."""

    reply: Any = None
    """The reply to the caller: a Reply for a session, which is sent before all events."""
    publications: list[Publication] = field(default_factory=list)
    realms: Collection[int] = ()
    """Other realms that have new rows in the outbox."""
    changed: Collection[Conversation] = ()
    """Groups in their new state, with all members, for the cache."""
    forgotten: Collection[str] = ()
    """Addresses of groups to remove from the cache."""
    forgotten_realms: Collection[str] = ()
    """Names of realms whose entries are removed from the cache."""
    messages: Sequence[StoredMessage] = ()
    """New messages of groups that another realm hosts."""
