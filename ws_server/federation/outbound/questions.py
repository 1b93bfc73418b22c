"""Requests between realms that need an answer, such as creating a group in the other realm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from shared.background_tasks import BackgroundTasks
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import BadValue
from ws_server.federation.frames.declaring import Shaped
from ws_server.federation.frames.link_frames import (
    ASKED_AT_ONCE,
    MAX_ASKED,
    Answer,
    Ask,
    Frame,
)
from ws_server.federation.frames.questions import Question

A = TypeVar("A", bound=Shaped)

WAIT = 10.0
"""Seconds for an answer; then the question fails with `realm_unreachable`."""
PASSED_ON = frozenset(
    (
        *(ErrorCode.UNKNOWN_USER, ErrorCode.UNKNOWN_GROUP, ErrorCode.UNKNOWN_REALM),
        *(ErrorCode.FORBIDDEN, ErrorCode.TOO_LARGE, ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED),
    )
)
"""Error codes of the other realm that are passed on to the user unchanged."""

Answerer = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Answers a question, given its kind and the fields of its frame."""


class Questions:
    """The questions of one link, in both directions. Call its methods on the event loop only."""

    def __init__(self, name: str, send: Callable[[Frame], None], answerer: Answerer) -> None:
        """Start with no question.

        Args:
            name: The other realm's local name, for error messages.
        """
        self._name = name
        self._send = send
        self._answerer = answerer
        self._open: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._count = 0
        self._tasks = BackgroundTasks()
        self._turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(self, question: Question[A]) -> A:
        """Send a question to the other realm and return its answer.

        Raises:
            ChatError: REALM_UNREACHABLE, no answer in WAIT seconds or MAX_ASKED questions are open;
                REALM_REFUSED or a code of PASSED_ON, the other realm's refusal.
            BadValue: the answer is malformed.
        """
        if len(self._open) >= MAX_ASKED:
            raise no_answer()
        self._count += 1
        number = self._count
        future = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(Ask(number, question.declared.kind, question.fields()))
            async with asyncio.timeout(WAIT):
                found = await future
        except TimeoutError:
            raise no_answer() from None
        finally:
            del self._open[number]
        return cast(A, question.answer.shape.from_json(found))

    def answered(self, answer: Answer) -> None:
        """Process an answer; drop it if its question is no longer open."""
        future = None if answer.id is None else self._open.get(answer.id)
        if future is None or future.done():
            return
        if answer.ok is not None:
            future.set_result(answer.ok)
            return
        message = _shown(answer.message or "")
        code = ErrorCode.REALM_REFUSED
        if answer.code in PASSED_ON:
            code = ErrorCode(answer.code)
        reason = f"{self._name} answers: {message}" if message else f"{self._name} refused"
        future.set_exception(ChatError(code, reason))

    def asked(self, ask: Ask) -> None:
        """Answer a question in a task of its own."""
        if len(self._tasks) >= MAX_ASKED:
            self._refuse(ask, ChatError(ErrorCode.UNAVAILABLE, "Too many questions"))
            return
        self._tasks.start(self._answer(ask))

    def close(self) -> None:
        """Cancel all answers, and fail all open questions with REALM_UNREACHABLE."""
        self._tasks.cancel()
        for future in self._open.values():
            if not future.done():
                future.set_exception(no_answer())

    async def _answer(self, ask: Ask) -> None:
        try:
            if ask.what is None:
                raise BadValue("what must be a text")
            async with self._turns:
                found = await self._answerer(ask.what, ask.fields)
        except BadValue as error:
            self._refuse(ask, ChatError(ErrorCode.BAD_ARGUMENTS, str(error)))
        except ChatError as error:
            self._refuse(ask, error)
        else:
            self._send(Answer(ask.id, found, None, None))

    def _refuse(self, ask: Ask, error: ChatError) -> None:
        self._send(Answer(ask.id, None, error.code, error.message))


def _shown(message: str) -> str:
    """Return the printable characters of another realm's message, from its first 300."""
    return "".join(letter for letter in message[:300] if letter.isprintable())


def no_answer() -> ChatError:
    """Return the error for a realm that does not answer."""
    return ChatError(
        ErrorCode.REALM_UNREACHABLE, "The other realm does not answer now; try again later"
    )
