"""The budget of a connection: as a stranger or as known, with its unprocessed bytes and noise."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from websockets.protocol import State
from websockets.server import ServerProtocol

from ws_server.net.budgets import Budget, BudgetedConnection, Place
from ws_server.net.closing import Ending
from ws_server.net.port import Port

MAX_NOISE, NOISE_SECONDS = 500, 10.0
"""More noise frames (control frames, tiny fragments) than this in these seconds close with 4502."""
NO_ROOM, NOISY = 1013, 4502


class Counted(Ending):
    """A connection that counts towards a budget, and is closed when it exceeds a bound."""

    def __init__(
        self, protocol: ServerProtocol, port: Port, budget: Budget, **options: Any
    ) -> None:
        super().__init__(protocol, port, **options)
        self.budget = budget
        self.known = False
        """Whether a user has signed in or another realm has authenticated."""
        self.careful = port.budgets.on
        """Whether it is parsed frame by frame, on the strangers' budget."""
        self.spare = False
        """Whether it has a reserved place, for plain HTTP only."""
        self.hand_over: Callable[[BudgetedConnection], bool] | None = None
        """Replaces its arrival in the budget by it; returns False if the arrival was dropped."""
        self._left = True
        self._share = budget.turn.share
        self._held = 0
        """Unprocessed bytes that are counted in the budget."""
        self._noise = 0
        self._noise_since = perf_counter()

    def take_over(self) -> bool:
        """Replace the arrival in the budget; return False if the arrival was dropped."""
        hand_over, self.hand_over = self.hand_over, None
        assert hand_over is not None
        self._left = not hand_over(self)
        return not self._left

    def move(self, budget: Budget) -> bool:
        """Move to another address's budget; return False if it has no place."""
        if budget is not self.budget:
            self.leave()
            place = self._port.budgets.admit(budget, self)
            if place is Place.NONE:
                return False
            self.budget, self.spare, self._left = budget, place is Place.SPARE, False
            self._share = budget.turn.share
            budget.hold(self._held, self.known)
        return True

    def admit(self, known: bool) -> None:
        if known is not self.known and not self._left:
            self.budget.hold(-self._held, self.known)
            self.budget.hold(self._held, known)
            self.known = known
            self._port.budgets.recognise(self.budget, self, known)
        self.careful = not known and self._port.budgets.on

    def leave(self) -> None:
        """Leave the budget."""
        if not self._left:
            self._left = True
            self.budget.hold(-self._held, self.known)
            self._port.budgets.leave(self.budget, self)

    def _hold(self, held: int) -> None:
        """Update the unprocessed bytes; close this connection if they exceed a bound."""
        change, self._held = held - self._held, held
        if not self._left:
            fits = self.budget.hold(change, self.known)
            if change > 0 and not fits and self._port.budgets.on:
                self._backlog.clear()
                self.refuse("unfinished", NO_ROOM, "too many unprocessed bytes from your address")

    def _make_noise(self) -> None:
        """Count a noise frame; close this connection if there are too many."""
        self._noise += 1
        if self._noise > MAX_NOISE:
            now = perf_counter()
            if now - self._noise_since < NOISE_SECONDS and self._port.budgets.on:
                self.refuse("noise", NOISY, "too many control frames or tiny fragments")
            self._noise, self._noise_since = 0, now

    def refuse(self, bound: str, code: int, reason: str) -> None:
        """Count a refusal and close, because a bound was exceeded."""
        if self.protocol.state is State.OPEN:
            self._port.budgets.refused[bound] += 1
        self.fail(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """Close, and discard further bytes without parsing them."""
        if self.protocol.state is State.CONNECTING:
            self.transport.abort()
        elif self.protocol.state is State.OPEN:
            if self.session is not None:
                self._port.gate.end(self.session)
            self.protocol.fail(code, reason)
            self.send_data()
            self._stopped = False
            self._wait()
            self.cut_off_later()

    def drop(self, reason: str) -> None:
        self.leave()
        self.fail(NO_ROOM, reason)
        self.transport.close()
