"""One window's state and actions over a scripted client, without a screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flet_app.actions import Actions
from flet_app.conversation import AppConversation
from flet_app.state import AppState, StatePart
from tests.flet_app.scripted import Answer, ScriptedHost

LIMIT = 5.0


class Window:
    """The state and actions of one window, and a record of their effects."""

    def __init__(self, folder: Path, script: dict[type, Answer]) -> None:
        self.changed: list[StatePart] = []
        self.tokens: list[str] = []
        self.host = ScriptedHost(folder, script)
        self.state = AppState(self.changed.append)

        async def remember(server: str, token: str) -> None:
            self.tokens.append(token)

        self.actions = Actions(self.state, self.host, remember)

    async def open(self, address: str) -> AppConversation:
        c = self.actions.switch(address)
        await self.actions.load(c)
        return c

    async def until(self, fact: Callable[[], bool]) -> None:
        """Run the event loop until a condition holds."""
        async with asyncio.timeout(LIMIT):
            while not fact():  # noqa: ASYNC110 - facts of many kinds, without an event
                await asyncio.sleep(0.001)

    def heard(self, kind: type) -> list[Any]:
        return self.host.last.heard_of(kind)

    def fates(self, c: AppConversation) -> list[str]:
        return [c.fate(entry) for entry in c.entries]


@asynccontextmanager
async def window(folder: Path, script: dict[type, Answer] | None = None) -> AsyncIterator[Window]:
    """Somebody who is signed in."""
    found = Window(folder, script or {})
    await found.actions.sign_in("ana", "secret1")
    await found.until(lambda: found.state.listed)
    try:
        yield found
    finally:
        await found.actions.close()


def one_after_another(*answers: Any) -> Answer:
    """Answer with each of these once, and with the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
