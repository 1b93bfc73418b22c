"""Notices that are shown for some seconds, without covering the box or the newest messages.

Flet's `SnackBar` covers the newest message. While it is shown, assistive pointers cannot reach the
controls around it, such as the box for messages.
"""

from __future__ import annotations

import asyncio
from typing import Any

import flet as ft

SHOWN_SECONDS = 6.0
MAX_NOTICES = 3
"""Notices at a time; the oldest is removed first."""
TOP_PIXELS = 70
"""Pixels from the top: just below the header of a conversation."""


class Notices(ft.Column):
    """A layer above the screen."""

    def init(self) -> None:
        self.top, self.right = TOP_PIXELS, 16
        self.spacing = 8
        self.horizontal_alignment = ft.CrossAxisAlignment.CENTER

    async def show(self, sentence: str, left: float) -> None:
        """Show a notice and remove it after some seconds.

        Args:
            left: Pixels to leave free at the left.
        """
        box = ft.Container(
            ft.Text(sentence, color=ft.Colors.ON_INVERSE_SURFACE),
            bgcolor=ft.Colors.INVERSE_SURFACE,
            border_radius=12,
            padding=ft.Padding.symmetric(horizontal=16, vertical=12),
            shadow=ft.BoxShadow(blur_radius=8, color=ft.Colors.with_opacity(0.3, ft.Colors.SHADOW)),
        )
        notice: Any = ft.Semantics(
            identifier="notice", container=True, live_region=True, content=box
        )
        self.left = left
        self.controls = [*self.controls[1 - MAX_NOTICES :], notice]
        self.update()
        await asyncio.sleep(SHOWN_SECONDS)
        if notice in self.controls:
            self.controls.remove(notice)
            self.update()
