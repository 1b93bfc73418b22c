"""The other realms: states of the links, fingerprints of keys, waiting deliveries."""

from __future__ import annotations

from typing import Any

import flet as ft

from flet_app.parts.controls import Handler, decoration
from flet_app.views.dialogs import add_realm
from flet_app.window import Window
from shared.protocol.commands.realms import Realm


async def show_realms(window: Window, opens: Handler) -> None:
    """Fetch the realms and show them in a dialog."""
    await window.actions.look_at_realms()
    texts = window.texts

    async def close(_: Any) -> None:
        window.close_dialog()

    async def add(_: Any) -> None:
        window.close_dialog()
        add_realm(window, opens)

    rows = [_row(window, realm) for realm in window.state.realms]
    window.open_dialog(
        ft.AlertDialog(
            scrollable=True,
            title=ft.Text(texts("realms")),
            content=ft.Container(
                ft.Column(
                    rows or [ft.Text(texts("no_realms"))],
                    tight=True,
                    spacing=12,
                ),
                width=460,
            ),
            actions=[
                ft.TextButton(texts("close"), on_click=window.handler(close)),
                ft.FilledButton(texts("add_realm"), on_click=window.handler(add)),
            ],
        )
    )


def _row(window: Window, realm: Realm) -> ft.Control:
    texts = window.texts
    is_up = realm.link == "up"
    words = [texts("link_up" if is_up else "link_down")]
    if realm.state != "active":
        words.append(realm.state)
    if realm.queued:
        words.append(texts("realm_queue", count=realm.queued))
    lines: list[ft.Control] = [
        ft.Text(realm.realm, weight=ft.FontWeight.W_600),
        ft.Text(", ".join(words), size=13),
        _small(f"{realm.address}:{realm.port}"),
        _small(realm.fingerprint),
    ]
    icon = ft.Icon(
        ft.Icons.LINK if is_up else ft.Icons.LINK_OFF,
        color=ft.Colors.PRIMARY if is_up else ft.Colors.ERROR,
    )
    return ft.Semantics(
        identifier="realm",
        container=True,
        content=ft.Row(
            [decoration(icon), ft.Column(lines, spacing=2, tight=True, expand=True)],
            vertical_alignment=ft.CrossAxisAlignment.START,
        ),
    )


def _small(text: str) -> ft.Control:
    return ft.Text(text, size=12, color=ft.Colors.ON_SURFACE_VARIANT)
