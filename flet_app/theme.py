"""Colours and measures."""

from __future__ import annotations

import flet as ft

NARROW_PIXELS = 720
"""Pixels of width below which either the list or the messages are shown."""
LIST_PIXELS = 340
MAX_BUBBLE_PIXELS = 620
"""Maximum pixels of width of a bubble: long lines are hard to read."""
_SEED = "#2f6f62"
_FACES = ["#2f6f62", "#8a4f7d", "#b0603a", "#3f6fa8", "#7a6a1f", "#9c3f4b", "#4f5fa0", "#4f7a3a"]


def theme() -> ft.Theme:
    """Return the theme of both modes, which the client derives from one colour."""
    return ft.Theme(
        color_scheme_seed=_SEED,
        visual_density=ft.VisualDensity.COMFORTABLE,
        page_transitions=ft.PageTransitionsTheme(
            android=ft.PageTransitionTheme.NONE, linux=ft.PageTransitionTheme.NONE
        ),
    )


def face(name: str) -> str:
    """Return the colour of a person's avatar, always the same one."""
    return _FACES[sum(name.lower().encode()) % len(_FACES)]
