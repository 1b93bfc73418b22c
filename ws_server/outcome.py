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
    """What the one who asked is answered: a Reply for a session, which is sent first."""
    publications: list[Publication] = field(default_factory=list)
    realms: Collection[int] = ()
    """Other realms for which something now waits."""
    changed: Collection[Conversation] = ()
    """Groups as they are now, with all their members, for the cache."""
    forgotten: Collection[str] = ()
    """Addresses of groups that have to leave the cache."""
    forgotten_realms: Collection[str] = ()
    """Names of realms of which all has to leave the cache."""
    messages: Sequence[StoredMessage] = ()
    """New ones of groups that another realm hosts."""
