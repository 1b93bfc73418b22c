"""What the connections of one port share; `Listener` makes it, and each connection has it."""

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
    """Takes what connections report: `gate.Gate`, which describes each call."""

    def receive(self, session: Session, frame: bytes) -> None: ...

    def receive_binary(self, session: Session) -> None: ...

    def resume(self, session: Session) -> None: ...

    def depart(self, session: Session) -> None: ...

    def leave(self, session: Session) -> None: ...

    def end(self, session: Session) -> None: ...

    async def settled(self, seconds: float) -> None: ...


class Port:
    """Where connections report, what bounds them, and what writes for them."""

    def __init__(
        self, gate: FrameGate, budgets: Budgets, trusted: Sequence[Network], handler: Handler
    ) -> None:
        """Begin with no connection.

        Args:
            trusted: The networks of trusted proxies.
            handler: Lives as long as a TCP connection; the library starts it.
        """
        loop = asyncio.get_running_loop()
        self.gate = gate
        self.budgets = budgets
        self.trusted = trusted
        self.handler = handler
        self.handler_tasks: set[asyncio.Task[None]] = set()
        """One for each TCP connection, until it ends."""
        self.rounds = Rounds(loop, budgets.on)
        self.writer = Writer(loop)
        self.closed: Counter[str] = Counter()
        """How many WebSockets ended, by who ended them; see `Connection.ended_by`."""
        self.is_closing = False
        """No more connections are accepted."""

    def is_serving(self) -> bool:
        """Tell whether connections are accepted, as the library asks."""
        return not self.is_closing
