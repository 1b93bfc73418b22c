"""Dialogs that create something: a chat, a group, a link to another realm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import flet as ft

from flet_app.parts.controls import ErrorText, Handler, text_field
from flet_app.window import EXPECTED, Window

Submit = Callable[[], Awaitable[str]]
"""Performs the action of the form, and returns the conversation to open; empty for none."""


class FormDialog:
    """A dialog with some fields. On an error it stays open and shows the reason."""

    def __init__(
        self,
        window: Window,
        title: str,
        fields: Sequence[ft.Control],
        done: str,
        submit: Submit,
        opens: Handler,
    ) -> None:
        self._window = window
        self._submit = submit
        self._opens = opens
        self._error = ErrorText()
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
        """Show an error."""
        self._error.say(sentence)

    async def _go(self, _: Any) -> None:
        if self._busy.visible:
            return
        self._busy.visible = True
        self._error.say("")
        self._window.update(self._dialog)
        try:
            address = await self._submit()
        except EXPECTED as error:
            self.refuse(self._window.texts.explain(error))
        except InvalidInput as error:
            self.refuse(str(error))
        else:
            if self._window.close_dialog(self._dialog) and address:
                await self._opens(address)
            return
        finally:
            self._busy.visible = False
            self._window.update(self._dialog)


class InvalidInput(Exception):
    """An input is not valid; the text gives the reason."""


def _filled(window: Window, *fields: ft.TextField) -> list[str]:
    """Return the contents of the fields.

    Raises:
        InvalidInput: a field is empty; the field shows it.
    """
    values = [(field.value or "").strip() for field in fields]
    for field, value in zip(fields, values, strict=True):
        field.error = None if value else window.texts("missing")
    if not all(values):
        raise InvalidInput(window.texts("missing"))
    return values


def new_chat(window: Window, opens: Handler) -> None:
    """Open the dialog for a new private chat."""
    texts = window.texts
    person = text_field(texts("person"), helper=texts("person_hint"), autofocus=True)

    async def submit() -> str:
        (address,) = _filled(window, person)
        return await window.actions.look_up(address)

    FormDialog(window, texts("new_chat"), [person], texts("open"), submit, opens)


def new_group(window: Window, opens: Handler) -> None:
    """Open the dialog for a new group: its name and its hosting realm."""
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

    async def submit() -> str:
        (called,) = _filled(window, name)
        return (await window.actions.create_group(called, host.value or "")).address

    FormDialog(window, texts("new_group"), [name, host], texts("create"), submit, opens)


def add_realm(window: Window, opens: Handler) -> None:
    """Open the dialog that adds another realm."""
    texts = window.texts
    name = text_field(texts("realm_name"), helper=texts("realm_name_hint"), autofocus=True)
    address = text_field(texts("address"), helper=texts("address_hint"))
    port = text_field(texts("port"), value="8765", keyboard_type=ft.KeyboardType.NUMBER)
    fingerprint = text_field(texts("fingerprint"), helper=texts("fingerprint_hint"))

    async def submit() -> str:
        called, host, number = _filled(window, name, address, port)
        if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= 65535):
            raise InvalidInput(texts("bad_port"))
        key = await window.actions.add_realm(
            *(called, host, int(number), fingerprint.value.strip())
        )
        window.tell(texts("realm_added", name=called, fingerprint=key))
        return ""

    fields = [name, address, port, fingerprint]
    FormDialog(window, texts("add_realm"), fields, texts("add"), submit, opens)
