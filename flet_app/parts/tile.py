"""One entry of the list of conversations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flet as ft

from flet_app.parts.controls import decoration, is_rtl
from flet_app.theme import face


@dataclass(frozen=True, slots=True)
class TileLook:
    """Everything that a tile shows."""

    address: str
    title: str
    realm: str
    line: str
    clock: str
    unread: int
    unread_words: str
    is_group: bool
    is_open: bool


@ft.control(isolated=True)  # type: ignore[arg-type]
class Tile(ft.Container):
    """A conversation's control: a button named by everything that it shows.

    The control stays the same while its contents change, so a click reaches the conversation that
    was there when it began.
    """

    look: Any = field(default=None, metadata={"skip": True})
    open: Any = field(default=None, metadata={"skip": True})

    def init(self) -> None:
        look: TileLook = self.look
        self._title = ft.Text(max_lines=1, overflow=ft.TextOverflow.ELLIPSIS, expand=True)
        self._clock = ft.Text(size=11, color=ft.Colors.OUTLINE)
        self._line = ft.Text(
            size=13,
            color=ft.Colors.ON_SURFACE_VARIANT,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
            expand=True,
        )
        self._number = ft.Text(size=11, weight=ft.FontWeight.W_700, color=ft.Colors.ON_PRIMARY)
        self._count = ft.Container(
            self._number,
            bgcolor=ft.Colors.PRIMARY,
            border_radius=10,
            padding=ft.Padding.symmetric(horizontal=7, vertical=2),
        )
        chips = [_chip(look.realm)] if look.realm else []
        self._tile = ft.ListTile(
            leading=avatar(look.title, look.address, look.is_group),
            title=ft.Row([self._title, self._clock], spacing=8),
            subtitle=ft.Row([self._line, *chips, self._count], spacing=6),
            selected_color=ft.Colors.ON_SURFACE,
            selected_tile_color=ft.Colors.SECONDARY_CONTAINER,
            shape=ft.RoundedRectangleBorder(radius=14),
            content_padding=ft.Padding.symmetric(horizontal=12, vertical=2),
            on_click=self.open,
        )
        self.content = ft.MergeSemantics(
            ft.Semantics(identifier="conversation", content=self._tile)
        )
        self.show(look)

    def show(self, look: TileLook) -> None:
        """Show new contents of the same conversation; the caller updates the control."""
        self.look = look
        self._title.value, self._clock.value, self._line.value = look.title, look.clock, look.line
        self._line.rtl = is_rtl(look.line)
        self._title.weight = ft.FontWeight.W_700 if look.unread else ft.FontWeight.W_500
        self._number.value = str(look.unread) if look.unread < 1000 else "999+"
        self._number.semantics_label = look.unread_words
        self._count.visible = look.unread > 0
        self._tile.selected = look.is_open


def avatar(title: str, address: str, is_group: bool, radius: int = 20) -> ft.Control:
    """Return the avatar of a conversation: a letter, or the icon of a group."""
    inside: ft.Control = (
        ft.Icon(ft.Icons.GROUPS, size=radius, color=ft.Colors.WHITE)
        if is_group
        else ft.Text(title[:1].upper(), size=radius * 0.8, color=ft.Colors.WHITE)
    )
    return decoration(ft.CircleAvatar(content=inside, bgcolor=face(address), radius=radius))


def _chip(realm: str) -> ft.Control:
    return ft.Container(
        ft.Text(
            f"@{realm}",
            size=11,
            color=ft.Colors.ON_TERTIARY_CONTAINER,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
        ),
        bgcolor=ft.Colors.TERTIARY_CONTAINER,
        border_radius=8,
        padding=ft.Padding.symmetric(horizontal=6, vertical=1),
    )
