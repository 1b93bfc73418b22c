"""A connection as the budget of its address counts it: a stranger's or not, and for how much."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from websockets.protocol import State
from websockets.server import ServerProtocol

from ws_server.net.budgets import Budget, Place, Visitor
from ws_server.net.closing import Ending
from ws_server.net.port import Port

MAX_NOISE, NOISE_SECONDS = 500, 10.0
"""More frames that carry nothing, in so many seconds, close a connection (4502)."""
NO_ROOM, NOISY = 1013, 4502


class Counted(Ending):
    """The bounds of a connection, and how it is closed when it meets one."""

    def __init__(
        self, protocol: ServerProtocol, port: Port, budget: Budget, **options: Any
    ) -> None:
        super().__init__(protocol, port, **options)
        self.budget = budget
        self.known = False
        """Whether somebody has signed in, or another realm has proven itself."""
        self.careful = port.budgets.on
        """Whether it is read frame by frame, on the budget of strangers."""
        self.spare = False
        """Whether it has a place in which only plain HTTP is answered."""
        self.hand_over: Callable[[Visitor], bool] | None = None
        """Lets it count instead of what was accepted; False if it is not wanted."""
        self._left = True
        self._share = budget.turn.share
        self._held = 0
        """Bytes that wait."""
        self._noise = 0
        self._noise_since = perf_counter()

    def take_over(self) -> bool:
        """Count from now on, instead of what was accepted; False if it is not wanted."""
        hand_over, self.hand_over = self.hand_over, None
        assert hand_over is not None
        self._left = not hand_over(self)
        return not self._left

    def move(self, budget: Budget) -> bool:
        """Count under another address from now on; False if there is no place."""
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
        """Count nowhere any more."""
        if not self._left:
            self._left = True
            self.budget.hold(-self._held, self.known)
            self._port.budgets.leave(self.budget, self)

    def _hold(self, held: int) -> None:
        """Count what waits now; whoever makes it too much is closed."""
        change, self._held = held - self._held, held
        if not self._left:
            fits = self.budget.hold(change, self.known)
            if change > 0 and not fits and self._port.budgets.on:
                self._backlog.clear()
                self.refuse("unfinished", NO_ROOM, "too much of your address waits unfinished")

    def _make_noise(self) -> None:
        """Count a frame that carries nothing; whoever sends many is closed."""
        self._noise += 1
        if self._noise > MAX_NOISE:
            now = perf_counter()
            if now - self._noise_since < NOISE_SECONDS and self._port.budgets.on:
                self.refuse("noise", NOISY, "too many frames that carry nothing")
            self._noise, self._noise_since = 0, now

    def refuse(self, bound: str, code: int, reason: str) -> None:
        """Close because a bound was met."""
        if self.protocol.state is State.OPEN:
            self._port.budgets.refused[bound] += 1
        self.fail(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """Close; what still comes is thrown away unparsed."""
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
