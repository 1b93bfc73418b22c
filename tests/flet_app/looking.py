"""A window that somebody looks at: the real screens over a scripted client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from flet_app.parts.bubble import Bubble
from flet_app.parts.tile import Tile
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page
from tests.flet_app.people import message
from tests.flet_app.scripted import Answer, ScriptedHost
from tests.flet_app.unseen import Unseen

Open = Callable[..., Any]


def history(last: int) -> Answer:
    """Answer as a realm with so many messages of bob's."""

    def answer(request: History) -> Page:
        end = request.before or last + 1
        first = max(1, end - request.limit)
        return Page("bob", [message(n) for n in range(first, end)], first > 1)

    return answer


class Window:
    """An app that somebody looks at."""

    def __init__(self, unseen: Unseen, host: ScriptedHost) -> None:
        self.unseen = unseen
        self.host = host

    def field(self, label: str) -> ft.TextField:
        found: ft.TextField = self.unseen.find(
            ft.TextField, lambda c: label in (c.label, c.hint_text)
        )
        return found

    async def press(self, words: str) -> None:
        """Press the button with these words, or this label."""
        for c in self.unseen.shown():
            if isinstance(c, ft.Semantics) and c.label == words and c.content is not None:
                await self.unseen.fire(c.content, "click")
                return
            if getattr(c, "on_click", None) and getattr(c, "content", "") == words:
                await self.unseen.fire(c, "click")
                return
        raise AssertionError(f"there is no button {words}")

    async def sees(self, text: str) -> None:
        await self.unseen.until(lambda: text in self.unseen.texts())

    def looks(self) -> list[Any]:
        return [c.look for c in self.unseen.shown() if isinstance(c, Bubble)][::-1]

    async def open(self, title: str) -> None:
        def tiles() -> list[Any]:
            shown = self.unseen.shown()
            return [c for c in shown if isinstance(c, Tile) and c.look.title == title]

        await self.unseen.until(lambda: bool(tiles()))
        (tile,) = tiles()
        await self.unseen.fire(tile.content.content.content, "click")

    async def scroll(self, pixels: float) -> None:
        """Scroll the messages to so many pixels from the newest, of 5,000."""
        listed = self.unseen.find(ft.ListView, lambda c: c.reverse)
        place = {"pixels": pixels, "min_scroll_extent": 0.0, "max_scroll_extent": 5000.0}
        kind = {"event_type": "update", "viewport_dimension": 600.0}
        await self.unseen.fire(listed, "scroll", {**place, **kind})

    def tell(self, *events: Any) -> None:
        for event in events:
            self.host.last.told.put_nowait(event)
