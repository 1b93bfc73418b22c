"""Asking again while a refusal is temporary."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.client.errors import NoAnswer
from shared.protocol.errors import TEMPORARY, ChatError

R = TypeVar("R")


async def patiently(
    ask: Callable[[], Awaitable[R]],
    pause: float,
    *,
    longest: float = math.inf,
    unanswered: bool = False,
) -> R:
    """Ask until there is an answer that will not change.

    Args:
        ask: Asks once.
        pause: Seconds to wait where the refusal names none.
        longest: Seconds to wait at the most; a refusal that names more is final.
        unanswered: Ask again also when no answer came.

    Raises:
        ChatError: the server refused for good.
        NoAnswer: no answer came, unless `unanswered`.
    """
    while True:
        wait = pause
        try:
            return await ask()
        except NoAnswer:
            if not unanswered:
                raise
        except ChatError as error:
            wait = error.retry_after or pause
            if error.code not in TEMPORARY or (error.retry_after or 0) > longest:
                raise
        await asyncio.sleep(wait)
