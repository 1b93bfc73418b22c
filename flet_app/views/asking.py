"""The question before an action that cannot be undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from flet_app.window import Window


def ask_before(
    window: Window, sentence: str, words: str, go: Callable[[], Awaitable[None]]
) -> None:
    """Ask the person to confirm an action that cannot be undone."""

    async def stay(_: Any) -> None:
        window.close_dialog(dialog)

    async def yes(_: Any) -> None:
        window.close_dialog(dialog)
        await go()

    dialog = ft.AlertDialog(
        content=ft.Container(ft.Text(sentence), width=360),
        actions=[
            ft.TextButton(window.texts("cancel"), on_click=window.handler(stay)),
            ft.FilledButton(
                words,
                on_click=window.handler(yes),
                bgcolor=ft.Colors.ERROR,
                color=ft.Colors.ON_ERROR,
            ),
        ],
    )
    window.open_dialog(dialog)
