"""Signing in, and creating an account."""

from __future__ import annotations

import re
from typing import Any

import flet as ft

from flet_app.parts.controls import Complaint, decoration, icon_button, text_field
from flet_app.state import Part
from flet_app.window import EXPECTED, Window
from shared.client.connection import parse_url
from shared.protocol.values import MAX_PASSWORD, MIN_PASSWORD, NAME


class SignIn:
    """The first screen: one form for both, which shows what it needs."""

    def __init__(self, window: Window) -> None:
        self._window = window
        texts = window.texts
        self._creating = False
        submit = window.handler(self._submit)
        self._user = text_field(
            texts("username"),
            value=window.state.was,
            autofocus=True,
            max_length=32,
            counter="",
            autofill_hints=ft.AutofillHint.USERNAME,
            on_submit=submit,
        )
        self._real_name = text_field(
            texts("real_name"), autofill_hints=ft.AutofillHint.NAME, on_submit=submit
        )
        self._country = text_field(
            texts("country"), autofill_hints=ft.AutofillHint.COUNTRY_NAME, on_submit=submit
        )
        self._password = text_field(
            texts("password"),
            password=True,
            autofill_hints=ft.AutofillHint.PASSWORD,
            on_submit=submit,
        )
        self._reveal = ft.Container()
        self._server = text_field(
            texts("server"), helper=texts("server_hint"), value=window.actions.server
        )
        self._server.visible = window.host.may_change_server
        self._error = Complaint()
        self._sign_in = ft.FilledButton(texts("sign_in"), on_click=submit, height=48)
        self._create = ft.OutlinedButton(
            texts("create_account"), on_click=window.handler(self._begin_account), height=48
        )
        self._submit_account = ft.FilledButton(texts("create_account"), on_click=submit, height=48)
        self._have = ft.TextButton(
            texts("have_account"), on_click=window.handler(self._have_account)
        )
        self._busy = ft.ProgressBar(visible=False, border_radius=4)
        self.control = self._build()
        self._arrange()
        if window.state.ended:
            # Without the number of its code, which says nothing to a person.
            why = re.sub(r" \(\d+\)$", "", window.state.ended)
            self._say(texts("session_ended", why=why))
        elif window.state.offline_why and not window.state.online:
            self._say_offline()

    def _build(self) -> ft.Control:
        texts = self._window.texts
        head = ft.Column(
            [
                decoration(ft.Icon(ft.Icons.FORUM, size=48, color=ft.Colors.PRIMARY)),
                ft.Text(texts("app_name"), size=28, weight=ft.FontWeight.W_600),
                ft.Text(
                    texts("tagline"),
                    color=ft.Colors.ON_SURFACE_VARIANT,
                    text_align=ft.TextAlign.CENTER,
                ),
            ],
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
            spacing=4,
        )
        secret = ft.Row([self._password, self._reveal], spacing=4)
        self._password.expand = True
        form = ft.AutofillGroup(
            ft.Column(
                [
                    self._server,
                    self._user,
                    self._real_name,
                    secret,
                    self._country,
                    self._error,
                    self._busy,
                    self._sign_in,
                    self._submit_account,
                    self._create,
                    self._have,
                ],
                spacing=12,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            )
        )
        language = ft.TextButton(
            texts("language"), on_click=self._window.handler(self._other_language)
        )
        card = ft.Container(
            ft.Column(
                [head, form, language],
                spacing=20,
                tight=True,
                horizontal_alignment=ft.CrossAxisAlignment.CENTER,
            ),
            width=400,
            padding=24,
        )
        return ft.Container(
            ft.Column([card], scroll=ft.ScrollMode.AUTO, tight=True),
            alignment=ft.Alignment.CENTER,
            expand=True,
            bgcolor=ft.Colors.SURFACE,
        )

    def _arrange(self) -> None:
        """Show what the form needs now."""
        creating = self._creating
        texts = self._window.texts
        self._real_name.visible = self._country.visible = creating
        self._submit_account.visible = self._have.visible = creating
        self._sign_in.visible = self._create.visible = not creating
        self._user.helper = texts("username_hint") if creating else None
        self._password.helper = texts("password_hint") if creating else None
        hidden = self._password.password
        self._reveal.content = icon_button(
            texts("show_password" if hidden else "hide_password"),
            ft.Icons.VISIBILITY_OUTLINED if hidden else ft.Icons.VISIBILITY_OFF_OUTLINED,
            self._window.handler(self._reveal_password),
        )

    async def _reveal_password(self, _: Any) -> None:
        self._password.password = not self._password.password
        self._arrange()
        self._window.update(self.control)

    async def _begin_account(self, _: Any) -> None:
        self._creating = True
        await self._again()

    async def _have_account(self, _: Any) -> None:
        self._creating = False
        await self._again()

    async def _again(self) -> None:
        self._error.say("")
        for box in (self._user, self._real_name, self._password, self._country):
            box.error = None
        self._arrange()
        self._window.update(self.control)

    async def _other_language(self, _: Any) -> None:
        await self._window.other_language()

    def _say(self, sentence: str) -> None:
        self._error.say(sentence)

    async def _submit(self, _: Any) -> None:
        if self._busy.visible:
            return
        wanted = [self._user, self._password]
        if self._creating:
            wanted = [self._user, self._real_name, self._password, self._country]
        empty = None
        for box in wanted:
            is_empty = not box.value or (box is not self._password and not box.value.strip())
            box.error = self._window.texts("missing") if is_empty else None
            empty = empty or (box if is_empty else None)
        if self._creating and empty is None:
            empty = self._check()
        self._error.say("")
        if empty is not None:
            self._window.update(self.control)
            await empty.focus()
            return
        if not await self._choose_server():
            return
        await self._go()

    def _check(self) -> ft.TextField | None:
        """Say at its field what the realm would not take; return the first such field."""
        texts = self._window.texts
        if not NAME.fullmatch(self._user.value.strip()):
            self._user.error = texts("username_hint")
        if not MIN_PASSWORD <= len(self._password.value) <= MAX_PASSWORD:
            self._password.error = texts("password_hint")
        return next((box for box in (self._user, self._password) if box.error), None)

    async def _choose_server(self) -> bool:
        if not self._server.visible:
            return True
        server = self._server.value.strip()
        try:
            parse_url(server)
        except ValueError:
            self._server.error = self._window.texts("bad_server")
            self._window.update(self.control)
            return False
        self._server.error = None
        self._window.actions.server = server
        await self._window.keep("server", server)
        return True

    async def _go(self) -> None:
        actions = self._window.actions
        self._busy.visible = True
        self._window.update(self.control)
        user, password = self._user.value.strip(), self._password.value
        try:
            if self._creating:
                real_name, country = self._real_name.value.strip(), self._country.value.strip()
                await actions.register(user, real_name, password, country)
            else:
                await actions.sign_in(user, password)
        except EXPECTED as error:
            self._say(self._window.texts.explain(error))
        finally:
            self._busy.visible = False
            self._window.update(self.control)

    def show(self, parts: set[Part]) -> None:
        """Say why the server cannot be reached, while it is tried."""
        state = self._window.state
        if Part.LINK in parts and self._busy.visible and not state.online and state.offline_why:
            self._say_offline()
            self._window.update(self.control)

    def _say_offline(self) -> None:
        window = self._window
        why = window.texts.why(window.state.offline_why)
        self._say(window.texts("unreachable", server=window.actions.server, why=why))
