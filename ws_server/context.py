"""What a handler may see, what it may answer, and how it says which command it handles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from shared.protocol.spec import Event, Reply, Request
from ws_server.store.conversations import Conversation
from ws_server.store.entries import Mutation
from ws_server.store.messages import Draft

if TYPE_CHECKING:
    from ws_server.net.session import Account, Session
    from ws_server.realm import Realm

R = TypeVar("R", bound=Reply)


@dataclass(slots=True)
class Publication:
    """An event and the users whose sessions get it, all but the one that caused it."""

    event: Event
    users: Collection[int]


@dataclass(slots=True)
class Outcome:
    """What follows from a change once it is on disk; `publications.publish` carries it out."""

    reply: Any = None
    """What the one who asked is answered: a Reply for a session, which is sent first."""
    publications: list[Publication] = field(default_factory=list)
    realms: Collection[int] = ()
    """Other realms for which something now waits."""
    changed: Conversation | None = None
    """The group as it is now, with all its members, for the cache."""
    forgotten: str | None = None
    """The address of a group that has to leave the cache."""


@dataclass(frozen=True, slots=True)
class RemoteReply:
    """A command that waits for another realm; those behind it need not wait for it."""

    reply: Coroutine[Any, Any, Reply]


Answer = Reply | Draft | Mutation | RemoteReply
"""A handler answers at once, with a message to write, or with a change that makes an Outcome."""
Handler = Callable[["Context", Any], Answer | Awaitable[Answer]]


class Context:
    """One command: who asks, and the realm that is asked."""

    __slots__ = ("_account", "realm", "session")

    def __init__(self, realm: Realm, session: Session) -> None:
        self.realm = realm
        self.session = session
        # Kept, because the connection may be gone before a handler has begun.
        self._account = session.account

    @property
    def user(self) -> Account:
        """Who is signed in; the gate has checked that somebody is."""
        assert self._account is not None
        return self._account


@dataclass(frozen=True, slots=True)
class Registration:
    """A handler; `journaled` ones answer with a Draft or a Write and may overlap."""

    handler: Handler
    pipelined: bool


HANDLERS: dict[type[Request[Any]], Registration] = {}


def handles(request: type[Request[R]], *, journaled: bool = False) -> Callable[[Handler], Handler]:
    """Register the handler of a command.

    Args:
        journaled: The handler is no coroutine and returns a Draft or a cheap Write. The journal
            keeps their order, so further ones of the same connection need not wait for the commit.
            Dear ones are no such, or one connection could fill the journal with them.
    """

    def register(handler: Handler) -> Handler:
        assert request not in HANDLERS, f"{request.__name__} has two handlers"
        HANDLERS[request] = Registration(handler, journaled)
        return handler

    return register
