"""Controls that a screen reader finds by name, and handlers that report errors."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[None]]


def icon_button(label: str, icon: ft.IconData, handle: Any = None, **options: Any) -> ft.Control:
    """Return an icon button, named by its tooltip, also for screen readers."""
    button = ft.IconButton(icon, on_click=handle, tooltip=_tooltip(label), **options)
    return ft.MergeSemantics(ft.Semantics(label=label, button=True, content=button))


def named(control: ft.Control, label: str) -> ft.Control:
    """Give a control its name for screen readers."""
    return ft.MergeSemantics(ft.Semantics(label=label, content=control))


def decoration(control: ft.Control) -> ft.Control:
    """Return a control hidden from screen readers."""
    return ft.Semantics(exclude_semantics=True, content=control)


def is_rtl(text: str) -> bool:
    """Whether a text is read from right to left, by its first letter with a direction (UAX #9)."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


class ErrorText(ft.Semantics):
    """The error text of a form, announced by screen readers; takes no room while empty."""

    def init(self) -> None:
        self._words = ft.Text(color=ft.Colors.ERROR)
        self.identifier, self.container, self.live_region = "error", True, True
        self.content, self.visible = self._words, False

    def say(self, sentence: str) -> None:
        self._words.value, self.visible = sentence, bool(sentence)


def text_field(label: str, **options: Any) -> ft.TextField:
    """Return a text box of one line."""
    return ft.TextField(label=label, border=ft.OutlineInputBorder(border_radius=12), **options)


def guarded(handle: Handler, failed: Callable[[Exception], None]) -> Handler:
    """Return a handler that reports errors: Flet replaces the window if an exception leaves one."""

    async def run(event: Any) -> None:
        try:
            await handle(event)
        except Exception as error:  # noqa: BLE001 - `failed` shows and logs it
            failed(error)

    return run


def _tooltip(text: str) -> ft.Tooltip:
    return ft.Tooltip(message=text, wait_duration=500, exclude_from_semantics=True)
