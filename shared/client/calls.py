"""Commands without an answer: sent in order, and again if the connection breaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from shared.client.errors import NoAnswer, NotSent, OutcomeUnknown
from shared.protocol import json_dialect
from shared.protocol.commands.files import Chunk
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from shared.protocol.values import MAX_FRAME

MAX_CALLS = 10_000
"""Commands without an answer."""
MAX_CALL_BYTES = 32 * 2**20
"""Bytes of the frames of these commands."""


class PendingCall:
    """One command, and the future of its caller."""

    __slots__ = ("abandoned", "answer", "frame", "number", "place", "request", "sent", "timer")

    def __init__(self, number: int, request: Request[Any], frame: bytes) -> None:
        self.number = number
        self.request = request
        self.frame = frame
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent = False
        """The command was sent at least once."""
        self.abandoned = False
        """Nobody waits for the answer any more."""
        self.place = ""
        """The conversation that the command posts to, once sent; empty for other commands."""
        self.timer: asyncio.TimerHandle | None = None

    def fail(self, error: Exception) -> None:
        """Raise an error in the caller."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self, reply: Reply) -> bool:
        """Give the caller the reply; False if nobody waits for it."""
        if self.abandoned or self.answer.done():
            return False
        self.answer.set_result(reply)
        return True


class Calls:
    """All commands without an answer, in the order of the calls.

    Args:
        on_dropped: Called with each call that was sent and will get no answer.
    """

    def __init__(self, on_dropped: Callable[[PendingCall], None]) -> None:
        self._count = 0
        self._waiting: deque[PendingCall] = deque()
        """Calls to be sent, or sent again."""
        self._sent: dict[str, PendingCall] = {}
        """Calls sent on the present connection, by label."""
        self._bytes = 0
        self._chunks = 0
        self._on_dropped = on_dropped

    def __len__(self) -> int:
        return len(self._waiting) + len(self._sent)

    def urgent(self, others: bool) -> bool:
        """Whether an answer is due soon; behind the chunks of a file any answer may take long."""
        return (bool(self._sent) or others) and not self._chunks

    def add(self, request: Request[Any]) -> PendingCall:
        """Queue a command.

        Raises:
            ChatError: UNAVAILABLE, too many calls wait; TOO_LARGE, the command does not fit a
            frame.
        """
        frame = json_dialect.format_request(request, str(self._count + 1))
        if len(frame) > MAX_FRAME:
            raise ChatError(ErrorCode.TOO_LARGE, f"A command has at most {MAX_FRAME:,} bytes")
        if len(self) >= MAX_CALLS or self._bytes + len(frame) > MAX_CALL_BYTES:
            raise ChatError(
                ErrorCode.UNAVAILABLE,
                f"{len(self):,} commands wait for their answers already; await some of them first",
            )
        self._count += 1
        call = PendingCall(self._count, request, frame)
        self._bytes += len(frame)
        self._chunks += type(request) is Chunk
        self._waiting.append(call)
        return call

    def next(self) -> PendingCall | None:
        """Return the next call to send; None if nothing waits."""
        if not self._waiting:
            return None
        call = self._waiting.popleft()
        self._sent[str(call.number)] = call
        return call

    def number(self) -> int:
        """Return a number that orders this moment among the calls."""
        self._count += 1
        return self._count

    def answered(self, label: object) -> PendingCall | None:
        """Remove and return the call that a reply belongs to; None if there is none."""
        call = self._sent.pop(label, None) if type(label) is str else None
        if call is not None:
            self._forget(call)
        return call

    def give_up(self, call: PendingCall) -> None:
        """Abandon a call: it is not sent if it has not been, and not repeated."""
        call.abandoned = True
        if str(call.number) in self._sent:
            return  # its late reply still tells the `seq` of its message
        if call in self._waiting:
            self._waiting.remove(call)
            self._end(call)

    def broken(self, reason: str) -> None:
        """Handle a lost connection: repeatable calls are queued again in order."""
        sent, self._sent = self._sent, {}
        again = []
        for call in sent.values():
            if call.abandoned:
                self._end(call)
            elif call.request.spec.repeatable:
                again.append(call)
            else:
                name = call.request.spec.name
                call.fail(OutcomeUnknown(f"{reason} before {name} was answered"))
                self._end(call)
        self._waiting.extendleft(reversed(again))

    def fail_all(
        self,
        unsent: Exception,
        sent: Callable[[PendingCall], Exception],
        *,
        only: Callable[[PendingCall], bool] = lambda _: True,
    ) -> None:
        """Fail all calls; the error depends on whether the command was sent."""
        every = [call for call in (*self._sent.values(), *self._waiting) if only(call)]
        for call in every:
            if self._sent.pop(str(call.number), None) is None:
                self._waiting.remove(call)
            call.fail(sent(call) if call.sent else unsent)
            self._end(call)

    def _end(self, call: PendingCall) -> None:
        self._forget(call)
        if call.sent:
            self._on_dropped(call)

    def _forget(self, call: PendingCall) -> None:
        self._bytes -= len(call.frame)
        self._chunks -= type(call.request) is Chunk
        if call.timer is not None:
            call.timer.cancel()


def no_answer(call: PendingCall, why: str) -> NoAnswer:
    """Return the error of a call whose answer is no longer awaited."""
    name = call.request.spec.name
    if call.sent:
        return OutcomeUnknown(f"{why}: {name} went out, and may have been done or not")
    return NotSent(f"{why}: {name} was not sent")
