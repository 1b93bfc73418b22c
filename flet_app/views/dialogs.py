"""Forms that begin something: a chat, a group, another realm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import flet as ft

from flet_app.parts.controls import Handler, text_field
from flet_app.window import EXPECTED, Window

Submit = Callable[[], Awaitable[None]]


class Form:
    """A dialog with some fields, which stays open, and says why, until it was done."""

    def __init__(
        self,
        window: Window,
        title: str,
        fields: Sequence[ft.Control],
        done: str,
        submit: Submit,
    ) -> None:
        self._window = window
        self._submit = submit
        self._error = ft.Text(color=ft.Colors.ERROR, visible=False)
        self._busy = ft.ProgressBar(visible=False, border_radius=4)
        handle = window.handler(self._go)
        for field in fields:
            if isinstance(field, ft.TextField):
                field.on_submit = handle

        async def cancel(_: Any) -> None:
            window.close_dialog()

        self._dialog = ft.AlertDialog(
            scrollable=True,
            title=ft.Text(title),
            content=ft.Container(
                ft.Column(
                    [*fields, self._error, self._busy],
                    tight=True,
                    spacing=12,
                    horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
                ),
                width=380,
                padding=ft.Padding.only(top=8),
            ),
            actions=[
                ft.TextButton(window.texts("cancel"), on_click=window.handler(cancel)),
                ft.FilledButton(done, on_click=handle),
            ],
        )
        window.open_dialog(self._dialog)

    def refuse(self, sentence: str) -> None:
        """Say what is wrong."""
        self._error.value, self._error.visible = sentence, True

    async def _go(self, _: Any) -> None:
        if self._busy.visible:
            return
        self._busy.visible, self._error.visible = True, False
        self._window.update(self._dialog)
        try:
            await self._submit()
        except EXPECTED as error:
            self.refuse(self._window.texts.explain(error))
        except Refused as error:
            self.refuse(str(error))
        else:
            self._window.close_dialog()
            return
        finally:
            self._busy.visible = False
        self._window.update(self._dialog)


class Refused(Exception):
    """What was filled in does not fit; the text says why."""


def _filled(window: Window, *fields: ft.TextField) -> list[str]:
    """Return what was typed.

    Raises:
        Refused: something was not; the field says so.
    """
    values = [(field.value or "").strip() for field in fields]
    for field, value in zip(fields, values, strict=True):
        field.error = None if value else window.texts("missing")
    if not all(values):
        raise Refused(window.texts("missing"))
    return values


def new_chat(window: Window, opens: Handler) -> None:
    """Ask with whom."""
    texts = window.texts
    person = text_field(texts("person"), helper=texts("person_hint"), autofocus=True)

    async def submit() -> None:
        (address,) = _filled(window, person)
        found = await window.actions.look_up(address)
        await opens(found)

    Form(window, texts("new_chat"), [person], texts("open"), submit)


def new_group(window: Window, opens: Handler) -> None:
    """Ask for its name, and which realm hosts it."""
    texts = window.texts
    name = text_field(texts("group_name"), autofocus=True, max_length=128, counter="")
    realms = [realm.realm for realm in window.state.realms if realm.state == "active"]
    host = ft.Dropdown(
        label=texts("group_realm"),
        value="",
        options=[
            ft.DropdownOption("", texts("this_realm")),
            *(ft.DropdownOption(realm, realm) for realm in realms),
        ],
        visible=bool(realms),
        expand=True,
    )

    async def submit() -> None:
        (called,) = _filled(window, name)
        c = await window.actions.create_group(called, host.value or "")
        await opens(c.address)

    Form(window, texts("new_group"), [name, host], texts("create"), submit)


def add_realm(window: Window, _: Handler) -> None:
    """Ask where another realm is."""
    texts = window.texts
    name = text_field(texts("realm_name"), helper=texts("realm_name_hint"), autofocus=True)
    address = text_field(texts("address"), helper=texts("address_hint"))
    port = text_field(texts("port"), value="8765", keyboard_type=ft.KeyboardType.NUMBER)
    fingerprint = text_field(texts("fingerprint"), helper=texts("fingerprint_hint"))

    async def submit() -> None:
        called, host, number = _filled(window, name, address, port)
        if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= 65535):
            raise Refused(texts("bad_port"))
        key = await window.actions.add_realm(
            *(called, host, int(number), fingerprint.value.strip())
        )
        window.tell(texts("realm_added", name=called, fingerprint=key))

    Form(window, texts("add_realm"), [name, address, port, fingerprint], texts("add"), submit)
