"""Requests between realms that need an answer, such as creating a group in the other realm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.background_tasks import BackgroundTasks
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import BadValue

WAIT = 10.0
"""Seconds for an answer; then the question fails with `realm_unreachable`."""
AT_ONCE = 8
"""Questions of one realm that are answered at once, so that users here are not delayed."""
MAX_ASKED = 256
"""Open questions in each direction."""
PASSED_ON = frozenset(
    (
        *(ErrorCode.UNKNOWN_USER, ErrorCode.UNKNOWN_GROUP, ErrorCode.UNKNOWN_REALM),
        *(ErrorCode.FORBIDDEN, ErrorCode.TOO_LARGE, ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED),
    )
)
"""Error codes of the other realm that are passed on to the user unchanged."""

Answerer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Asks:
    """The questions of one link, in both directions. Call its methods on the event loop only."""

    def __init__(self, name: str, say: Callable[..., None], answerer: Answerer) -> None:
        """Start with no question.

        Args:
            name: The other realm's local name, for error messages.
            say: Sends a frame, passed as its fields.
            answerer: Answers a question, given its kind and its frame.
        """
        self._name = name
        self._say = say
        self._answerer = answerer
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._tasks = BackgroundTasks()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(self, what: str, **body: Any) -> dict[str, Any]:
        """Send a question to the other realm and return its answer.

        Raises:
            ChatError: REALM_UNREACHABLE, no answer in WAIT seconds or MAX_ASKED questions are open;
                REALM_REFUSED or a code of PASSED_ON, the other realm's refusal.
        """
        if len(self._open) >= MAX_ASKED:
            raise no_answer()
        self._count += 1
        number = self._count
        future = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._say(kind="ask", id=number, what=what, **body)
            async with asyncio.timeout(WAIT):
                found: dict[str, Any] = await future
                return found
        except TimeoutError:
            raise no_answer() from None
        finally:
            del self._open[number]

    def answered(self, body: dict[str, Any]) -> None:
        """Process an answer; drop it if its question is no longer open."""
        number = body.get("id")
        future = self._open.get(number) if type(number) is int else None
        if future is None or future.done():
            return
        found = body.get("ok")
        if isinstance(found, dict):
            future.set_result(found)
            return
        code, message = body.get("code"), body.get("message")
        message = _shown(message) if isinstance(message, str) else ""
        known = isinstance(code, str) and code in PASSED_ON
        passed_on = ErrorCode(str(code)) if known else ErrorCode.REALM_REFUSED
        told = f"{self._name} answers: {message}" if message else f"{self._name} refused"
        future.set_exception(ChatError(passed_on, told))

    def asked(self, body: dict[str, Any]) -> None:
        """Answer a question in a task of its own.

        Raises:
            BadValue: the question has no number, so no answer could refer to it.
        """
        if type(body.get("id")) is not int:
            raise BadValue("a question must have a number")
        if len(self._tasks) >= MAX_ASKED:
            self._refuse(body.get("id"), ChatError(ErrorCode.UNAVAILABLE, "Too many questions"))
            return
        self._tasks.start(self._answer(body))

    def close(self) -> None:
        """Cancel all answers, and fail all open questions with REALM_UNREACHABLE."""
        self._tasks.cancel()
        for future in self._open.values():
            if not future.done():
                future.set_exception(no_answer())

    async def _answer(self, body: dict[str, Any]) -> None:
        try:
            what = body.get("what")
            if not isinstance(what, str):
                raise BadValue("what must be a text")
            async with self._turns:
                found = await self._answerer(what, body)
        except BadValue as error:
            self._refuse(body.get("id"), ChatError(ErrorCode.BAD_ARGUMENTS, str(error)))
        except ChatError as error:
            self._refuse(body.get("id"), error)
        else:
            self._say(kind="answer", id=body.get("id"), ok=found)

    def _refuse(self, number: Any, error: ChatError) -> None:
        self._say(kind="answer", id=number, code=error.code, message=error.message)


def _shown(message: str) -> str:
    """Return the printable characters of another realm's message, from its first 300."""
    return "".join(letter for letter in message[:300] if letter.isprintable())


def no_answer() -> ChatError:
    """Return the error for a realm that does not answer."""
    return ChatError(
        ErrorCode.REALM_UNREACHABLE, "The other realm does not answer now; try again later"
    )
