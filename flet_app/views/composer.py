"""The box for messages: texts, files, and commands with their completion.

In a window, Enter and the button send the text known from the box's events, and empty the box. In a
browser the page's script does both at once and reports each line; see `script.py`.
"""

from __future__ import annotations

import time
from typing import Any

import flet as ft

from flet_app import commands
from flet_app.attachments import Attachments
from flet_app.conversation import AppConversation
from flet_app.parts.controls import icon_button
from flet_app.script import DraftFrame, EmptiedFrame, LineFrame, PageFrame, TooLongFrame
from flet_app.sending import Sending
from flet_app.state import StatePart
from flet_app.window import EXPECTED, Window
from shared.client import NoAnswer
from shared.protocol.values import MAX_TEXT, fold


@ft.control("TextField")  # type: ignore[arg-type]
class Box(ft.TextField):
    """A box that can request the focus.

    `autofocus` does not take the focus from a pressed button, which has it in a browser with a
    screen reader; and Flet's `focus()` has no effect on a box that sends with Enter.
    """

    focus: str | None = None  # type: ignore[assignment]
    """Flet's client requests the focus when this changes."""


class Composer:
    """The bar below the messages."""

    def __init__(self, window: Window, attachments: Attachments, sent: Any) -> None:
        self._window = window
        self._attachments = attachments
        self._sent = sent
        self.c: AppConversation | None = None
        self._text = ""
        """The text of the box by its events; its `value` may be ahead of them."""
        self._box = self._make_box("", focus=False)
        self._send_button: ft.Ref[ft.IconButton] = ft.Ref()
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
        """Build the buttons: new ones cannot hold the focus that the box needs."""
        texts, handler = self._window.texts, self._window.handler
        attach = icon_button(texts("attach"), ft.Icons.ATTACH_FILE, handler(self._attach))
        send = icon_button(
            texts("send"),
            ft.Icons.SEND,
            handler(self._submit),
            icon_color=ft.Colors.PRIMARY,
            ref=self._send_button,
        )
        if self._window.host.page_script is not None and self._send_button.current is not None:
            # With a screen reader the button would take the focus while the person types.
            self._send_button.current.tooltip = None
        # The hint names the box only while the box is empty.
        self._name = ft.Semantics(label="", content=self._box)
        self._bar.content = ft.Row(
            [attach, ft.MergeSemantics(self._name, expand=True), send],
            spacing=4,
            vertical_alignment=ft.CrossAxisAlignment.END,
        )

    def open(self, c: AppConversation, *, focus: bool) -> None:
        """Switch to another conversation; each keeps its draft."""
        self.keep_draft()
        self.c = c
        self._begin(c.draft, focus=focus)

    def _make_box(self, text: str, *, focus: bool) -> Box:
        window = self._window
        return Box(
            text,
            hint_text=window.texts("write"),
            multiline=True,
            shift_enter=True,
            min_lines=1,
            max_lines=6,
            filled=True,
            autofocus=focus,
            focus="now" if focus else None,
            border=ft.OutlineInputBorder(
                border_radius=24, side=ft.BorderSide(0, ft.Colors.TRANSPARENT)
            ),
            content_padding=ft.Padding.symmetric(horizontal=18, vertical=12),
            data=self.c,
            on_submit=window.handler(self._submit),
            on_change=window.handler(self._typed),
            on_paste_files=window.handler(self._pasted),
            # With this handler the box keeps the focus, so that text typed after a click is not
            # lost.
            on_tap_outside=None if window.host.page_script is None else _stay,
            # With these handlers Flet's client reports the focused box, which the page's script
            # reads.
            on_focus=None if window.host.page_script is None else _stay,
            on_blur=None if window.host.page_script is None else _stay,
        )

    def _begin(self, text: str, *, focus: bool) -> None:
        """Replace the box: a box that sends with Enter takes the focus only when it is new."""
        self._text = text
        self._box = self._make_box(text, focus=focus)
        self._build_bar()
        self._follow()
        self.declare(focus=focus)
        self._window.update(self.control)

    def declare(self, *, focus: bool = False) -> None:
        """Announce the box to the page's script."""
        script = self._window.host.page_script
        if script is not None and self.c is not None:
            button = self._send_button.current
            assert button is not None
            script.box(
                *(self._box._i, self.c.address, self._text),
                button=button._i,
                most=MAX_TEXT,
                focus=focus,
            )

    def keep_draft(self) -> None:
        """Keep the draft: the composer is about to be removed."""
        if self.c is not None:
            self.c.draft = self._box.value if self._window.host.page_script is None else self._text

    def restore(self, c: AppConversation) -> None:
        """Show the draft of a conversation as the browser knows it; its copy is newer."""
        if c is self.c and c.draft != self._text:
            self._text = self._box.value = c.draft
            self._follow()

    async def _typed(self, event: Any) -> None:
        text, c = event.data or "", event.control.data
        if c is not None:
            c.draft = text
        if event.control is self._box:
            self._text = text
            self._follow()
            self._window.update(self._panel, self._name)

    async def _submit(self, event: Any) -> None:
        """Send the text of the box on Enter or the button, where no script does."""
        # Before the first await: text typed until the client gets the update would be lost.
        text, self._text, self._box.value = self._box.value, "", ""
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
        if not commands.is_command(text.lstrip()) and (size := _size(text)) > MAX_TEXT:
            self._give_back(c, text)
            self._too_long(size)
            return
        try:
            await self._say(c, self._sending(), text)
        except EXPECTED:
            self._give_back(c, text)
            raise

    def _give_back(self, c: AppConversation, text: str) -> None:
        c.draft = text
        if c is self.c:
            self._text = self._box.value = text
            self._box.update()

    def _too_long(self, size: int) -> None:
        sentence = self._window.texts("too_long", most=f"{MAX_TEXT:,}", size=f"{size:,}")
        self._window.tell(sentence)

    def _sending(self) -> Sending:
        sending = self._window.actions.sending
        if sending is None:
            raise NoAnswer("nobody is signed in")
        return sending

    async def heard(self, said: PageFrame) -> None:
        """Take what the page's script says."""
        match said:
            case LineFrame():
                await self._take(said)
            case DraftFrame():
                # Do not recreate a group that the person has left.
                if c := self._window.state.conversations.get(fold(said.to)):
                    c.draft = said.text
                    self._window.state.changed(StatePart.LIST)
            case EmptiedFrame() if said.box == self._box._i:
                self._begin("", focus=True)
            case TooLongFrame():
                self._too_long(said.size)

    async def _take(self, line: LineFrame) -> None:
        """Send a line of the script's once, however often the script repeats it."""
        script = self._window.host.page_script
        assert script is not None
        try:
            sending = self._sending()
            known = sending.knows(line.key)
            if known:
                script.done(line.key)
            if known is None:
                await self._say(self._window.state.conversation(line.to), sending, line.text, line)
        except EXPECTED:
            script.give_back(line.key)
            raise

    async def _say(
        self, c: AppConversation, sending: Sending, text: str, line: LineFrame | None = None
    ) -> None:
        """Send a text, or run it as a command."""
        script, key = self._window.host.page_script, line.key if line else ""

        def answered() -> None:
            if script is not None:
                script.done(key)

        if commands.is_command(text.lstrip()):
            if key:
                # Most commands cannot be repeated, so stop the script from repeating this one.
                sending.remember(key, answered=True)
                answered()
            await self._run(c, text.strip(), key)
        else:
            sending.text(c, _sent(text), key, answered)
        if c is self.c:
            await self._sent()

    async def _run(self, c: AppConversation, line: str, key: str) -> None:
        """Run a command; show its answer in the conversation."""
        said = commands.shown(line)
        actions = self._window.actions
        try:
            reply = await actions.run(line, key)
        except EXPECTED as error:
            said = f"{said}\n{getattr(error, 'message', None) or self._window.texts.explain(error)}"
            lines = said.split("\n")
        else:
            lines = [said, reply.worded(), *reply.lines()]
        if self._window.state.user:
            self._window.state.note(c, lines, int(time.time() * 1000))

    def _follow(self) -> None:
        """Update the rest of the bar after the text has changed."""
        self._name.label = self._window.texts("write") if self._text else ""
        found = commands.suggestions(self._text)
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
        # The conversation of the paste: while the content is read, another one may open.
        if (c := event.control.data) is not None:
            await self._attachments.paste(c, event.files)


async def _stay(_: Any) -> None:
    """Do nothing: registering the handler has the effect."""


def _sent(text: str) -> str:
    """Return the text to send: two slashes at the beginning stand for one."""
    text = text.strip("\n")
    return text.removeprefix("/") if text.startswith("//") else text


def _size(text: str) -> int:
    return len(_sent(text).encode(errors="replace"))
