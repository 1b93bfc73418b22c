"""The context and the results of handlers, and `handles`, which registers one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.protocol.records import Reply
from shared.protocol.spec import Request
from ws_server.message_replies import sent
from ws_server.net.session import Account, Session
from ws_server.realm import Realm
from ws_server.store.drafts import Draft, StoredMessage
from ws_server.store.entries import Mutation

R = TypeVar("R", bound=Reply)


@dataclass(frozen=True, slots=True)
class RemoteReply:
    """The result of a command that waits for another realm; later commands need not wait for it."""

    reply: Coroutine[Any, Any, Reply]


Answer = Reply | Draft | Mutation | RemoteReply
"""The result of a handler: a reply, a message to write, a change, or a wait for another realm."""
Handler = Callable[["Context", Any], Answer | Awaitable[Answer]]
MessageAnswer = Callable[[StoredMessage, Any, bool], Reply]
"""Makes the reply from the message, the request, and whether that repeated an earlier one."""


class Context:
    """One command: its caller, and the realm that carries it out."""

    __slots__ = ("_account", "realm", "session")

    def __init__(self, realm: Realm, session: Session) -> None:
        self.realm = realm
        self.session = session
        # A copy, as the connection may be gone before the handler begins.
        self._account = session.account

    @property
    def user(self) -> Account:
        """The signed-in account; the command runner has checked that there is one."""
        assert self._account is not None
        return self._account


@dataclass(frozen=True, slots=True)
class RegisteredHandler:
    """A handler; `pipelined` ones return a Draft or a Mutation and may overlap."""

    handler: Handler
    pipelined: bool
    answer: MessageAnswer


HANDLERS: dict[type[Request[Any]], RegisteredHandler] = {}


def handles(
    request: type[Request[R]], *, pipelined: bool = False, answer: MessageAnswer = sent
) -> Callable[[Handler], Handler]:
    """Register the handler of a command.

    Args:
        pipelined: The handler is not a coroutine and returns a Draft or a cheap Mutation. The
            journal keeps their order, so the next command of the connection need not wait for the
            commit. Expensive changes must not be pipelined, as one client could fill the journal.
        answer: Makes the reply if the handler returns a Draft.
    """

    def register(handler: Handler) -> Handler:
        assert request not in HANDLERS, f"{request.__name__} has two handlers"
        HANDLERS[request] = RegisteredHandler(handler, pipelined, answer)
        return handler

    return register
