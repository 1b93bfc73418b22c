"""Where messages are written: texts, files, and commands with their completion."""

from __future__ import annotations

import time
from typing import Any

import flet as ft

from flet_app import commands
from flet_app.attachments import Attachments
from flet_app.conversation import Conversation
from flet_app.parts.controls import icon_button
from flet_app.window import EXPECTED, Window
from shared.client import NoAnswer
from shared.protocol.values import MAX_TEXT


class Composer:
    """The bar below the messages."""

    def __init__(self, window: Window, attachments: Attachments, sent: Any) -> None:
        self._window = window
        self._attachments = attachments
        self._sent = sent
        self.c: Conversation | None = None
        self._box = self._make_box("", focus=False)
        self._suggested = ft.Column(spacing=0, tight=True)
        self._panel = ft.Container(
            self._suggested,
            visible=False,
            bgcolor=ft.Colors.SURFACE_CONTAINER_HIGH,
            border_radius=12,
            margin=ft.Margin.symmetric(horizontal=12),
            padding=6,
        )
        self._bar = ft.Container(padding=ft.Padding.only(left=8, right=8, top=4, bottom=8))
        self._build_bar()
        self.control = ft.Column(
            [
                self._panel,
                self._bar,
            ],
            spacing=0,
            tight=True,
        )

    def _build_bar(self) -> None:
        """Make the buttons: new ones do not hold the focus that the box shall have."""
        texts, handler = self._window.texts, self._window.handler
        attach = icon_button(texts("attach"), ft.Icons.ATTACH_FILE, handler(self._attach))
        send = icon_button(
            texts("send"), ft.Icons.SEND, handler(self._submit), icon_color=ft.Colors.PRIMARY
        )
        # Its hint is the name of the box only while it is empty.
        self._name = ft.Semantics(label="", content=self._box)
        self._bar.content = ft.Row(
            [attach, ft.MergeSemantics(self._name, expand=True), send],
            spacing=4,
            vertical_alignment=ft.CrossAxisAlignment.END,
        )

    def open(self, c: Conversation, *, focus: bool) -> None:
        """Write to another conversation; what was begun in each is kept there."""
        self.keep_draft()
        self.c = c
        self._begin(c.draft, focus=focus)

    def _make_box(self, text: str, *, focus: bool) -> ft.TextField:
        window = self._window
        return ft.TextField(
            text,
            hint_text=window.texts("write"),
            multiline=True,
            shift_enter=True,
            min_lines=1,
            max_lines=6,
            filled=True,
            autofocus=focus,
            border=ft.OutlineInputBorder(
                border_radius=24, side=ft.BorderSide(0, ft.Colors.TRANSPARENT)
            ),
            content_padding=ft.Padding.symmetric(horizontal=18, vertical=12),
            on_submit=window.handler(self._submit),
            on_change=window.handler(self._typed),
            on_paste_files=window.handler(self._pasted),
        )

    def _begin(self, text: str, *, focus: bool) -> None:
        """Go on in a new box: one that sends with Enter takes the focus only when it is new."""
        self._box = self._make_box(text, focus=focus)
        self._build_bar()
        self._follow()
        self._window.update(self.control)

    def keep_draft(self) -> None:
        """Keep what was begun, for the composer goes."""
        if self.c is not None:
            self.c.draft = self._box.value

    async def _typed(self, _: Any) -> None:
        if self.c is not None:
            self.c.draft = self._box.value
        self._follow()
        self._window.update(self._panel, self._name)

    async def _submit(self, event: Any) -> None:
        # At once: what is typed until the client has heard of it would be lost.
        text, self._box.value = self._box.value, ""
        self._box.update()
        c = self.c
        if c is None:
            return
        c.draft = ""
        if event.control is self._box:
            self._follow()
            self._window.update(self._panel, self._name)
        else:
            self._begin("", focus=True)
        if not text.strip():
            return
        try:
            if commands.is_command(text.lstrip()):
                await self._run(c, text.strip())
            else:
                self._send(c, text)
        except EXPECTED:
            self._box.value = c.draft = text
            self._box.update()
            raise
        await self._sent()

    def _send(self, c: Conversation, text: str) -> None:
        text = text.strip("\n").removeprefix("/") if text.startswith("//") else text.strip("\n")
        size = len(text.encode(errors="replace"))
        if size > MAX_TEXT:
            sentence = self._window.texts("too_long", most=f"{MAX_TEXT:,}", size=f"{size:,}")
            self._box.value = c.draft = text
            self._box.update()
            self._window.tell(sentence)
            return
        sending = self._window.actions.sending
        if sending is None:
            raise NoAnswer("nobody is signed in")
        sending.text(c, text)

    async def _run(self, c: Conversation, line: str) -> None:
        """Run a command and show its answer in the conversation."""
        said = commands.shown(line)
        actions = self._window.actions
        try:
            reply = await actions.run(line)
        except EXPECTED as error:
            said = f"{said}\n{getattr(error, 'message', None) or self._window.texts.explain(error)}"
            lines = said.split("\n")
        else:
            lines = [said, reply.worded(), *reply.lines()]
        if self._window.state.user:
            self._window.state.note(c, lines, int(time.time() * 1000))

    def _follow(self) -> None:
        """Let the rest of the bar follow what is in the box."""
        self._name.label = self._window.texts("write") if self._box.value else ""
        found = commands.suggestions(self._box.value)
        self._panel.visible = bool(found)
        self._suggested.controls = [self._suggestion(s) for s in found]

    def _suggestion(self, suggestion: commands.Suggestion) -> ft.Control:
        async def take(_: Any) -> None:
            self._begin(suggestion.line, focus=True)

        usage = ft.Text(suggestion.usage, size=13, weight=ft.FontWeight.W_600)
        summary = ft.Text(suggestion.summary, size=12, color=ft.Colors.ON_SURFACE_VARIANT)
        return ft.ListTile(
            title=usage,
            subtitle=summary,
            dense=True,
            min_height=36,
            content_padding=ft.Padding.symmetric(horizontal=12),
            on_click=self._window.handler(take),
        )

    async def _attach(self, _: Any) -> None:
        if self.c is not None:
            await self._attachments.pick(self.c)

    async def _pasted(self, event: Any) -> None:
        if self.c is not None:
            await self._attachments.paste(self.c, event.files)
