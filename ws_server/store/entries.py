"""What the journal writes: messages, and changes of any other kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError
from ws_server.store.drafts import Chain, MessageEntry
from ws_server.store.steps import Steps, answer


class Mutation:
    """Any change that is no message: `change(tx, now)` runs inside the transaction.

    A `ChatError` undoes this change alone. The function may run twice, the first time rolled back,
    so it must have no effect outside the transaction.
    """

    __slots__ = ("chain", "change", "done", "error", "origin", "payer", "result")

    def __init__(
        self, change: Callable[[Connection, int], Any], chain: Chain | None = None
    ) -> None:
        self.change = change
        self.chain = chain
        self.done: Callable[[Any], None] | None = None
        self.origin: Any = None
        self.payer: Hashable = None
        self.result: Any = None
        self.error: ChatError | None = None


class Together(Mutation):
    """A change in steps, `change(now)`; those next to each other take them at the same time."""

    __slots__ = ("steps",)

    def __init__(self, change: Callable[[int], Steps[Any]]) -> None:
        super().__init__(lambda tx, now: answer(tx, change(now)))
        self.steps = change


Entry = MessageEntry | Mutation
