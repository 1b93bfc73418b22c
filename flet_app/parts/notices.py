"""Sentences that are shown for some seconds, where they cover neither what is written nor read.

Flet's own (`SnackBar`) lies on the newest message, and while it is there a pointer that follows
what screen readers are told does not reach what is around it: the box for messages, for instance.
"""

from __future__ import annotations

import asyncio
from typing import Any

import flet as ft

SECONDS = 6.0
MOST = 3
"""At a time; the oldest goes first."""
BELOW = 70
"""Pixels from the top: under the head of a conversation."""


class Notices(ft.Column):
    """Lies above the screen."""

    def init(self) -> None:
        self.top, self.right = BELOW, 16
        self.spacing = 8
        self.horizontal_alignment = ft.CrossAxisAlignment.CENTER

    async def show(self, sentence: str, left: float) -> None:
        """Show one and take it away again.

        Args:
            left: Pixels at the left that stay free.
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
        self.controls = [*self.controls[1 - MOST :], notice]
        self.update()
        await asyncio.sleep(SECONDS)
        if notice in self.controls:
            self.controls.remove(notice)
            self.update()
