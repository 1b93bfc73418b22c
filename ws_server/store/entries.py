"""Entries of the journal: messages, and changes of any other kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError
from ws_server.store.drafts import Chain, MessageEntry
from ws_server.store.steps import Steps, answer


class Mutation:
    """A change other than a message: `change(tx, now)` runs inside the transaction.

    A `ChatError` rolls back this change alone. The function may run twice, with the first run
    rolled back, so it must have no effect outside the transaction.
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
    """A change in steps, `change(now)`; adjacent ones in a batch run their steps together."""

    __slots__ = ("steps",)

    def __init__(self, change: Callable[[int], Steps[Any]]) -> None:
        super().__init__(lambda tx, now: answer(tx, change(now)))
        self.steps = change


Entry = MessageEntry | Mutation
