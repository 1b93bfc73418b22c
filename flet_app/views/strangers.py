"""Dialogs about strangers: blocking people, and answering their invitations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from flet_app.conversation import AppConversation
from flet_app.views.asking import ask_before
from flet_app.window import Window
from shared.protocol.values import fold


async def ask_to_block(window: Window, c: AppConversation) -> None:
    """Ask whether to block the other person of a chat, or to unblock a blocked one."""
    client, texts = window.actions.client, window.texts
    users = {fold(user) for user in (await client.blocked()).users}
    is_blocked = fold(c.address) in users
    change = client.unblock if is_blocked else client.block

    async def go() -> None:
        await change(c.address)
        window.tell(texts("unblocked" if is_blocked else "blocked", user=c.address))

    sentence = texts("unblock_sure" if is_blocked else "block_sure", user=c.address)
    ask_before(window, sentence, texts("unblock" if is_blocked else "block"), go)


def invitation(
    window: Window, c: AppConversation, answered: Callable[[], Awaitable[None]]
) -> ft.Control:
    """Return the control shown in place of a group's messages before the invitation is accepted.

    Args:
        answered: Called when the person has accepted.
    """
    texts, actions = window.texts, window.actions

    async def accept(_: Any) -> None:
        await actions.accept(c)
        await answered()

    async def decline(_: Any) -> None:
        await actions.decline(c)

    return ft.Container(
        ft.Column(
            [
                ft.Text(texts("you_invited", name=c.title), text_align=ft.TextAlign.CENTER),
                ft.Text(
                    texts("invitation_hint"),
                    size=12,
                    color=ft.Colors.OUTLINE,
                    text_align=ft.TextAlign.CENTER,
                ),
                ft.Row(
                    [
                        ft.OutlinedButton(texts("decline"), on_click=window.handler(decline)),
                        ft.FilledButton(texts("accept"), on_click=window.handler(accept)),
                    ],
                    alignment=ft.MainAxisAlignment.CENTER,
                ),
            ],
            alignment=ft.MainAxisAlignment.CENTER,
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
            spacing=12,
        ),
        alignment=ft.Alignment.CENTER,
        expand=True,
        padding=24,
    )
