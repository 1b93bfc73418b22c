"""A visible window: the real screens over a scripted client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft
from flet.controls.base_control import BaseControl

from flet_app.parts.bubble import Bubble
from flet_app.parts.tile import Tile
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page
from tests.flet_app.people import message
from tests.flet_app.scripted import Answer, ScriptedHost
from tests.flet_app.unseen import Unseen, controls_of

Open = Callable[..., Any]


def history(last: int) -> Answer:
    """Answer as a realm with so many messages of bob's."""

    def answer(request: History) -> Page:
        end = request.before or last + 1
        first = max(1, end - request.limit)
        return Page("bob", [message(n) for n in range(first, end)], first > 1)

    return answer


class Window:
    """A visible window of the app."""

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
        await self._press(self.unseen.shown(), words)

    async def answer(self, words: str) -> None:
        """Press a button in the topmost open dialog."""
        await self._press(self.dialog(), words)

    async def _press(self, controls: list[BaseControl], words: str) -> None:
        for c in controls:
            if isinstance(c, ft.Semantics) and c.label == words and c.content is not None:
                await self.unseen.fire(c.content, "click")
                return
            if getattr(c, "on_click", None) and getattr(c, "content", "") == words:
                await self.unseen.fire(c, "click")
                return
        raise AssertionError(f"there is no button {words}")

    def dialog(self) -> list[BaseControl]:
        """Return the visible controls of the topmost open dialog; empty without a dialog."""
        dialogs = [c for c in self.unseen.page._dialogs.controls if getattr(c, "open", False)]
        alerts = [c for c in dialogs if isinstance(c, ft.AlertDialog)]
        return controls_of(alerts[-1]) if alerts else []

    def dialog_texts(self) -> list[str]:
        return [c.value for c in self.dialog() if isinstance(c, ft.Text) and c.value]

    def entry(self, label: str) -> ft.TextField:
        """Return a box of the topmost open dialog."""
        fields = [c for c in self.dialog() if isinstance(c, ft.TextField) and c.label == label]
        return fields[0]

    async def sees_in_dialog(self, text: str) -> None:
        await self.unseen.until(lambda: text in self.dialog_texts())

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
