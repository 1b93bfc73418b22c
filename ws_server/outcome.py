"""What follows from a change once it is on disk; `publications.publish` carries it out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from shared.protocol.spec import Event
from ws_server.store.conversations import Conversation


@dataclass(slots=True)
class Publication:
    """An event and the users whose sessions get it, all but the one that caused it."""

    event: Event
    users: Collection[int]


@dataclass(slots=True)
class Outcome:
    """The reply, the events, and what becomes of the cache."""

    reply: Any = None
    """What the one who asked is answered: a Reply for a session, which is sent first."""
    publications: list[Publication] = field(default_factory=list)
    realms: Collection[int] = ()
    """Other realms for which something now waits."""
    changed: Conversation | None = None
    """The group as it is now, with all its members, for the cache."""
    forgotten: str | None = None
    """The address of a group that has to leave the cache."""
