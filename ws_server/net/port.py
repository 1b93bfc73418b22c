"""The state that all connections of one port share; `Listener` creates it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection

from shared.settings import Network
from ws_server.net.budgets import Budgets
from ws_server.net.fair_turns import Rounds
from ws_server.net.session import Session
from ws_server.net.writer import Writer

Handler = Callable[[ServerConnection], Coroutine[Any, Any, None]]


class FrameGate(Protocol):
    """Receives the frames and events of connections: `gate.Gate`, which documents each method."""

    def receive(self, session: Session, frame: bytes) -> None: ...

    def receive_binary(self, session: Session) -> None: ...

    def resume(self, session: Session) -> None: ...

    def depart(self, session: Session) -> None: ...

    def leave(self, session: Session) -> None: ...

    def end(self, session: Session) -> None: ...

    async def settled(self, seconds: float) -> None: ...


class Port:
    """The gate, budgets, scheduler and writer of all connections."""

    def __init__(
        self, gate: FrameGate, budgets: Budgets, trusted: Sequence[Network], handler: Handler
    ) -> None:
        """Start without connections.

        Args:
            trusted: The networks of trusted proxies.
            handler: Runs for the life of a TCP connection; the library starts it.
        """
        loop = asyncio.get_running_loop()
        self.gate = gate
        self.budgets = budgets
        self.trusted = trusted
        self.handler = handler
        self.handler_tasks: set[asyncio.Task[None]] = set()
        """The handlers of the open TCP connections."""
        self.rounds = Rounds(loop, budgets.on)
        self.writer = Writer(loop)
        self.closed: Counter[str] = Counter()
        """The number of ended WebSockets, by the label of `Connection.ended_by`."""
        self.is_closing = False
        """No more connections are accepted."""

    def is_serving(self) -> bool:
        """Return whether connections are accepted; the library calls this."""
        return not self.is_closing
