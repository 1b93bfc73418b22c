"""The main screen: the list and the open conversation, side by side or one at a time."""

from __future__ import annotations

from typing import Any

import flet as ft

from flet_app.attachments import Attachments
from flet_app.conversation import INVITED, AppConversation
from flet_app.parts.controls import icon_button
from flet_app.parts.tile import avatar
from flet_app.script import PageFrame
from flet_app.state import StatePart
from flet_app.theme import LIST_PIXELS
from flet_app.views.composer import Composer
from flet_app.views.conversations import ConversationPane
from flet_app.views.group import GroupDialog
from flet_app.views.messages import MessagePane, back_button
from flet_app.views.strangers import ask_to_block, invitation
from flet_app.window import Window
from shared.protocol.values import fold


class ChatScreen:
    """Both panes, and the notice of a lost connection."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._attachments = Attachments(window)
        self._conversations = ConversationPane(window, self.open)
        self._composer = Composer(window, self._attachments, self._wrote)
        self._messages: MessagePane | None = None
        self._place = ft.Container(expand=True)
        self._head = ft.Container()
        self._banner = self._make_banner()
        self._right = ft.Column([self._head, self._place, self._composer.control], spacing=0)
        self._list = ft.Container(self._conversations.control)
        self._pane = ft.Container(expand=True, bgcolor=ft.Colors.SURFACE)
        self.control = ft.Column(
            [
                self._banner,
                ft.Row(
                    [self._list, self._pane],
                    expand=True,
                    spacing=0,
                    vertical_alignment=ft.CrossAxisAlignment.STRETCH,
                ),
            ],
            spacing=0,
            expand=True,
        )
        self._lay_out()

    def _make_banner(self) -> ft.Container:
        texts = self._window.texts
        self._banner_why = ft.Text(size=12, color=ft.Colors.ON_TERTIARY_CONTAINER)
        words = ft.Column(
            [
                ft.Text(texts("offline"), size=13, color=ft.Colors.ON_TERTIARY_CONTAINER),
                self._banner_why,
            ],
            spacing=0,
            tight=True,
            expand=True,
        )
        icon = ft.Icon(ft.Icons.CLOUD_OFF, size=18, color=ft.Colors.ON_TERTIARY_CONTAINER)
        return ft.Container(
            ft.Semantics(
                identifier="banner",
                container=True,
                live_region=True,
                content=ft.Row([icon, words], spacing=12),
            ),
            bgcolor=ft.Colors.TERTIARY_CONTAINER,
            padding=ft.Padding.symmetric(horizontal=16, vertical=6),
            visible=False,
        )

    # Showing

    def show(self, parts: set[StatePart]) -> None:
        state = self._window.state
        if StatePart.LINK in parts:
            self._show_link()
        self._conversations.show(parts)
        if StatePart.OPEN in parts:
            if state.open is None and self._messages is not None:
                self._close()
            self._show_head()
            self._show_role()
        if self._messages is not None and parts & {StatePart.MESSAGES, StatePart.OPEN}:
            self._messages.show()
            self._messages.seen()
        if parts & {StatePart.LIST, StatePart.SESSION}:
            self._window.show_title()

    def _show_link(self) -> None:
        state, texts = self._window.state, self._window.texts
        self._banner.visible = not state.online
        self._banner_why.value = texts("offline_why", why=texts.why(state.offline_why))
        self._window.update(self._banner)
        if state.online and self._messages is not None:
            self._window.run(self._messages.go_on())

    def _show_head(self) -> None:
        c = self._window.state.open
        if c is not None:
            self._head.content = self._header(c)
            self._window.update(self._head)

    def _show_role(self) -> None:
        """Show the person's role in the open group, which another window may have changed."""
        c = self._window.state.open
        if c is not None and self._composer.control.visible == (c.role == INVITED):
            self._show_place()
            self._window.update(self._right)
            self._window.run(self._window.actions.load(c))

    def _show_place(self) -> None:
        """Show the messages of the open conversation, or its invitation."""
        c, messages = self._window.state.open, self._messages
        if c is None or messages is None:
            return
        is_invited = c.role == INVITED
        if is_invited:

            async def joined() -> None:
                self._show_place()
                self._window.update(self._right)
                await self._window.actions.load(c)

            self._place.content = invitation(self._window, c, joined)
        else:
            self._place.content = messages.control
        self._composer.control.visible = not is_invited

    def _header(self, c: AppConversation) -> ft.Control:
        window, texts = self._window, self._window.texts
        row: list[ft.Control] = []
        if window.is_narrow:
            row.append(back_button(window, window.handler(self._back)))
        about = []
        if c.is_group and c.members:
            key = "members_one" if c.members == 1 else "members_count"
            about.append(texts(key, count=c.members))
        if c.realm:
            is_away = window.state.link_of(c) == "down"
            about.append(texts("realm_away" if is_away else "in_realm", realm=c.realm))
        title = ft.Text(
            c.title,
            size=17,
            weight=ft.FontWeight.W_600,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
        )
        # People with a screen reader move from heading to heading.
        names: list[ft.Control] = [
            ft.Semantics(identifier="title", header=True, container=True, content=title)
        ]
        if about:
            names.append(ft.Text(", ".join(about), size=12, color=ft.Colors.ON_SURFACE_VARIANT))
        row += [
            avatar(c.title, c.address, c.is_group, 18),
            ft.Column(names, spacing=0, tight=True, expand=True),
        ]
        if c.is_group:

            async def details(_: Any) -> None:
                await GroupDialog(window, c).open()

            if c.role != INVITED:
                row.append(
                    icon_button(texts("details"), ft.Icons.GROUP_OUTLINED, window.handler(details))
                )
        elif fold(c.address) != fold(window.state.user):

            async def block(_: Any) -> None:
                await ask_to_block(window, c)

            row.append(icon_button(texts("block_person"), ft.Icons.BLOCK, window.handler(block)))
        return ft.Container(
            ft.Row(row, spacing=12),
            padding=ft.Padding.symmetric(horizontal=12, vertical=8),
            border=ft.Border.only(bottom=ft.BorderSide(1, ft.Colors.OUTLINE_VARIANT)),
            height=62,
        )

    def _empty(self) -> ft.Control:
        return ft.Container(
            ft.Column(
                [
                    ft.Icon(ft.Icons.FORUM_OUTLINED, size=56, color=ft.Colors.OUTLINE_VARIANT),
                    ft.Text(
                        self._window.texts("choose"),
                        color=ft.Colors.OUTLINE,
                        text_align=ft.TextAlign.CENTER,
                    ),
                ],
                alignment=ft.MainAxisAlignment.CENTER,
                horizontal_alignment=ft.CrossAxisAlignment.CENTER,
                expand=True,
            ),
            alignment=ft.Alignment.CENTER,
            padding=24,
        )

    def _lay_out(self) -> None:
        """Show one pane or both, depending on the width."""
        is_narrow, is_open = self._window.is_narrow, self._window.state.open is not None
        self._list.width = None if is_narrow else LIST_PIXELS
        self._list.expand = is_narrow
        self._list.visible = not (is_narrow and is_open)
        self._pane.visible = is_open or not is_narrow
        self._pane.content = self._right if is_open else self._empty()

    def resized(self) -> None:
        """The window was resized."""
        self._lay_out()
        self._window.update(self.control)
        self.show({StatePart.OPEN, StatePart.MESSAGES})

    async def back(self) -> None:
        """The browser has reconnected."""
        self._composer.declare()
        await self._attachments.give_up_stalled()

    async def heard(self, said: PageFrame) -> None:
        """Handle a message of the page's script."""
        await self._composer.heard(said)

    def restore(self, c: AppConversation) -> None:
        """Show the draft of a conversation."""
        self._composer.restore(c)

    def leave(self) -> None:
        """Keep the drafts: the screen is rebuilt."""
        self._composer.keep_draft()

    # The person's actions

    async def open(self, address: str) -> None:
        """Show a conversation: at once with the loaded messages, then as the realm knows it."""
        window = self._window
        c = window.state.conversation(address)
        if window.state.open is c and self._messages is not None:
            await window.actions.load(c)  # an earlier attempt may have failed
            return
        window.actions.switch(address)
        mine = self._messages = MessagePane(window, c, self._attachments)
        self._show_place()
        self._head.content = self._header(c)
        self._lay_out()
        mine.show()
        window.update(self.control)
        if not window.is_narrow:
            self._conversations.renew()
        # Before the first await: text typed from now on is meant for this conversation.
        self._composer.open(c, focus=not window.is_narrow)
        try:
            await window.actions.load(c)
        finally:
            if self._messages is mine:
                mine.show()
                mine.seen()
            await window.remember_place()

    async def _back(self, _: Any) -> None:
        self._composer.keep_draft()
        self._window.actions.close_conversation()

    def _close(self) -> None:
        """Close the open conversation."""
        self._messages = None
        self._composer.keep_draft()
        self._lay_out()
        self._window.update(self.control)
        self._window.run(self._window.remember_place())

    async def _wrote(self) -> None:
        """Scroll to the message that the person has just sent."""
        if self._messages is not None:
            await self._messages.to_end()

    async def key(self, event: Any) -> None:
        """Handle a key that no control took: Ctrl+K focuses the filter, Alt+arrows open a
        neighbour."""
        if event.ctrl and event.key == "K":
            await self._conversations.focus_filter()
        elif event.alt and event.key in ("Arrow Up", "Arrow Down"):
            step = -1 if event.key == "Arrow Up" else 1
            if (c := self._conversations.neighbour(step)) is not None:
                await self.open(c.address)
        elif event.key == "Escape" and not self._window.state.open:
            await self._conversations.clear_filter()
        elif event.key == "Escape" and self._window.is_narrow and self._window.state.open:
            await self._back(None)
