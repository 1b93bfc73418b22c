"""Placeholder of the app's screens."""

from __future__ import annotations

import flet as ft

from flet_app.host import Host


async def start(page: ft.Page, host: Host) -> None:
    """Show the first page."""
    page.add(ft.Text("Sign in"))
    page.on_close = lambda _: host.close()
