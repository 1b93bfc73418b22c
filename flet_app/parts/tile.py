"""One entry of the list of conversations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flet as ft

from flet_app.parts.controls import Handler, decoration
from flet_app.theme import face


@dataclass(frozen=True, slots=True)
class Look:
    """All that a tile shows."""

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
    """A conversation's control; it is a button named by all it shows."""

    look: Any = field(default=None, metadata={"skip": True})
    open: Any = field(default=None, metadata={"skip": True})

    def build(self) -> None:
        look: Look = self.look
        handle: Handler = self.open
        weight = ft.FontWeight.W_700 if look.unread else ft.FontWeight.W_500
        top: list[ft.Control] = [
            ft.Text(
                look.title,
                weight=weight,
                max_lines=1,
                overflow=ft.TextOverflow.ELLIPSIS,
                expand=True,
            ),
            ft.Text(look.clock, size=11, color=ft.Colors.OUTLINE),
        ]
        bottom: list[ft.Control] = [
            ft.Text(
                look.line,
                size=13,
                color=ft.Colors.ON_SURFACE_VARIANT,
                max_lines=1,
                overflow=ft.TextOverflow.ELLIPSIS,
                expand=True,
            )
        ]
        if look.realm:
            bottom.append(_chip(look.realm))
        if look.unread:
            bottom.append(_count(look.unread, look.unread_words))
        tile = ft.ListTile(
            leading=avatar(look.title, look.address, look.is_group),
            title=ft.Row(top, spacing=8),
            subtitle=ft.Row(bottom, spacing=6),
            selected=look.is_open,
            selected_color=ft.Colors.ON_SURFACE,
            selected_tile_color=ft.Colors.SECONDARY_CONTAINER,
            shape=ft.RoundedRectangleBorder(radius=14),
            content_padding=ft.Padding.symmetric(horizontal=12, vertical=2),
            on_click=handle,
        )
        self.content = ft.MergeSemantics(ft.Semantics(identifier="conversation", content=tile))


def avatar(title: str, address: str, is_group: bool, radius: int = 20) -> ft.Control:
    """Return the picture of a conversation: a letter, or the sign of a group."""
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


def _count(unread: int, words: str) -> ft.Control:
    number = ft.Text(
        str(unread) if unread < 1000 else "999+",
        size=11,
        weight=ft.FontWeight.W_700,
        color=ft.Colors.ON_PRIMARY,
        semantics_label=words,
    )
    return ft.Container(
        number,
        bgcolor=ft.Colors.PRIMARY,
        border_radius=10,
        padding=ft.Padding.symmetric(horizontal=7, vertical=2),
    )
