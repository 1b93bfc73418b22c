"""The form for signing in and creating an account."""

from __future__ import annotations

import re
from typing import Any

import flet as ft

from flet_app.parts.controls import ErrorText, decoration, icon_button, text_field
from flet_app.state import StatePart
from flet_app.window import EXPECTED, Window
from shared.client import ErrorCode
from shared.client.connection import parse_url
from shared.protocol.values import MAX_PASSWORD, MIN_PASSWORD, NAME


class SignInScreen:
    """The first screen: one form for both, which shows the required fields."""

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
        self._code = text_field(
            texts("admin_code"),
            helper=texts("admin_code_hint"),
            helper_max_lines=4,
            error_max_lines=2,
            on_submit=submit,
            max_length=64,
        )
        self._invitation = text_field(
            texts("invitation_code"),
            helper=texts("invitation_code_hint"),
            on_submit=submit,
            max_length=64,
        )
        self._code.counter = self._invitation.counter = ""
        self._code.visible = self._invitation.visible = False
        self._closed = ft.Text(texts("registration_closed"), text_align=ft.TextAlign.CENTER)
        self._wanted = False
        """Whether the realm waits for its first admin, who has a code."""
        self._registration = "open"
        """Who may register without that code: open, invite or closed."""
        self._asked: str | None = None
        """The server that gave both values."""
        self._reveal = ft.Container()
        self._secret = ft.Row([self._password, self._reveal], spacing=4)
        self._server = text_field(
            texts("server"), helper=texts("server_hint"), value=window.actions.server
        )
        self._server.visible = window.host.may_change_server
        self._error = ErrorText()
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
            # Without the numeric close code, which does not help a person.
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
        self._password.expand = True
        form = ft.AutofillGroup(
            ft.Column(
                [
                    self._server,
                    self._closed,
                    self._user,
                    self._real_name,
                    self._secret,
                    self._country,
                    self._invitation,
                    self._code,
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
        """Show the fields that the form requires."""
        creating = self._creating
        texts = self._window.texts
        by_invitation, closed = self._registration == "invite", self._registration == "closed"
        self._closed.visible = creating and closed
        nobody = creating and closed and not self._wanted
        self._user.visible = self._secret.visible = not nobody
        for control in (self._real_name, self._country, self._submit_account):
            control.visible = creating and not nobody
        self._invitation.visible = creating and by_invitation
        self._code.visible = creating and self._wanted
        self._have.visible = creating
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
        self._asked = None
        if await self._choose_server():
            await self._ask()

    async def _ask(self) -> bool:
        """Show what the realm requires for registering; return whether that has changed."""
        actions, before = self._window.actions, (self._wanted, self._registration)
        if self._asked == actions.server:
            return False
        self._asked = actions.server
        try:
            self._wanted, self._registration = await actions.asks_for()
        except EXPECTED:
            self._asked = None
            return False
        self._arrange()
        self._window.update(self.control)
        return (self._wanted, self._registration) not in (before, (False, "open"))

    async def _have_account(self, _: Any) -> None:
        self._creating = False
        await self._again()

    async def _again(self) -> None:
        self._error.say("")
        shown = self._user, self._real_name, self._password, self._country
        for box in (*shown, self._invitation, self._code):
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
            if self._invitation.visible and not self._shown(self._code):
                wanted.append(self._invitation)
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
        if self._creating and await self._ask():
            box = self._invitation if self._invitation.visible else self._code
            if box.visible:
                await box.focus()
            return
        await self._go()

    def _check(self) -> ft.TextField | None:
        """Show at each field what the realm would refuse; return the first such field."""
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
        self._code.error = self._invitation.error = None
        self._window.update(self.control)
        user, password = self._user.value.strip(), self._password.value
        try:
            if self._creating:
                real_name, country = self._real_name.value.strip(), self._country.value.strip()
                shown = self._shown(self._code), self._shown(self._invitation)
                await actions.register(user, real_name, password, country, *shown)
            else:
                await actions.sign_in(user, password)
        except EXPECTED as error:
            await self._refused(error)
        finally:
            self._busy.visible = False
            self._window.update(self.control)

    async def _refused(self, error: Exception) -> None:
        """Show the reason of a refusal, at the field if it concerns a code."""
        texts, code = self._window.texts, getattr(error, "code", None)
        if self._creating and code == ErrorCode.BAD_CREDENTIALS:
            if self._shown(self._code):
                self._code.error = texts("wrong_code")
            else:
                self._invitation.error = texts("wrong_invitation")
            return
        self._say(texts.explain(error))
        if self._creating and code == ErrorCode.FORBIDDEN:
            # The rules of registration may have changed meanwhile.
            self._asked = None
            await self._ask()

    @staticmethod
    def _shown(box: ft.TextField) -> str:
        """Return the code in a box; empty if the box is hidden."""
        return box.value.strip() if box.visible else ""

    def show(self, parts: set[StatePart]) -> None:
        """Show why the server cannot be reached, while the client retries."""
        state = self._window.state
        if (
            StatePart.LINK in parts
            and self._busy.visible
            and not state.online
            and state.offline_why
        ):
            self._say_offline()
            self._window.update(self.control)

    def _say_offline(self) -> None:
        window = self._window
        why = window.texts.why(window.state.offline_why)
        self._say(window.texts("unreachable", server=window.actions.server, why=why))
