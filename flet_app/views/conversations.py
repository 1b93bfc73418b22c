"""The list of conversations, with the buttons for new ones."""

from __future__ import annotations

from typing import Any

import flet as ft

from flet_app.clock import moment, short
from flet_app.conversation import AppConversation
from flet_app.parts.controls import Handler, icon_button, named
from flet_app.parts.tile import Tile, TileLook
from flet_app.state import StatePart
from flet_app.views.dialogs import add_realm, new_chat, new_group
from flet_app.views.realms import show_realms
from flet_app.window import Window

MAX_SHOWN_CONVERSATIONS = 300
"""Conversations that are drawn; the filter finds the others."""


class ConversationPane:
    """The left pane."""

    def __init__(self, window: Window, opens: Handler) -> None:
        self._window = window
        self._opens = opens
        self._tiles: dict[str, Tile] = {}
        self._list = ft.ListView(expand=True, padding=8, spacing=2)
        self._cut = ft.Text(color=ft.Colors.OUTLINE, text_align=ft.TextAlign.CENTER)
        self._hint_words = ft.Text(color=ft.Colors.OUTLINE, text_align=ft.TextAlign.CENTER)
        self._hint = ft.Container(
            self._hint_words, padding=24, alignment=ft.Alignment.CENTER, visible=False
        )
        self._who = ft.Text(
            size=12,
            color=ft.Colors.ON_SURFACE_VARIANT,
            max_lines=1,
            overflow=ft.TextOverflow.ELLIPSIS,
        )
        self._top = ft.Column(
            spacing=8, tight=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH
        )
        self._filter = self._make_filter("")
        self.renew()
        self.control = ft.Container(
            ft.Column(
                [
                    self._top,
                    self._hint,
                    self._list,
                ],
                spacing=8,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            ),
            bgcolor=ft.Colors.SURFACE_CONTAINER_LOW,
        )

    def _make_filter(self, text: str) -> ft.TextField:
        window = self._window
        return ft.TextField(
            text,
            label=window.texts("filter"),
            prefix_icon=ft.Icons.SEARCH,
            dense=True,
            border=ft.OutlineInputBorder(border_radius=24),
            on_change=window.handler(self._filtered),
            on_submit=window.handler(self._open_first),
        )

    def renew(self) -> None:
        """Rebuild the buttons and the filter: the focused control is gone, and a new box can take
        the focus."""
        self._filter = self._make_filter(self._filter.value)
        self._top.controls = [
            self._head(),
            ft.Container(self._filter, padding=ft.Padding.symmetric(horizontal=12)),
        ]

    def _head(self) -> ft.Control:
        window = self._window
        texts = window.texts

        def begin(dialog: Any) -> Handler:
            async def handle(_: Any) -> None:
                dialog(window, self._opens)

            return window.handler(handle)

        title = ft.Text(texts("app_name"), size=18, weight=ft.FontWeight.W_600, max_lines=1)
        return ft.Container(
            ft.Row(
                [
                    ft.Column([title, self._who], spacing=0, expand=True),
                    icon_button(texts("new_chat"), ft.Icons.ADD_COMMENT_OUTLINED, begin(new_chat)),
                    icon_button(texts("new_group"), ft.Icons.GROUP_ADD_OUTLINED, begin(new_group)),
                    icon_button(texts("add_realm"), ft.Icons.ADD_LINK, begin(add_realm)),
                    self._menu(),
                ],
                spacing=0,
            ),
            padding=ft.Padding.only(left=16, right=4, top=8),
        )

    def _menu(self) -> ft.Control:
        window = self._window
        texts = window.texts

        def item(words: str, icon: ft.IconData, handle: Handler) -> ft.PopupMenuItem:
            return ft.PopupMenuItem(words, icon=icon, on_click=window.handler(handle))

        async def realms(_: Any) -> None:
            await show_realms(window, self._opens)

        async def colours(_: Any) -> None:
            await window.other_colours()

        async def language(_: Any) -> None:
            await window.other_language()

        async def leave(_: Any) -> None:
            await window.actions.sign_out()
            await window.remember_place()

        is_dark = window.is_dark
        return named(
            ft.PopupMenuButton(
                items=[
                    item(texts("realms"), ft.Icons.HUB_OUTLINED, realms),
                    item(
                        texts("light" if is_dark else "dark"),
                        ft.Icons.LIGHT_MODE_OUTLINED if is_dark else ft.Icons.DARK_MODE_OUTLINED,
                        colours,
                    ),
                    item(texts("language"), ft.Icons.TRANSLATE, language),
                    item(texts("sign_out"), ft.Icons.LOGOUT, leave),
                ],
                tooltip="",
            ),
            texts("menu"),
        )

    async def _filtered(self, _: Any) -> None:
        self.show({StatePart.LIST})

    async def _open_first(self, _: Any) -> None:
        """Open the first conversation that matches, on Enter."""
        if found := self._window.state.conversations.matching(self._filter.value):
            await self.clear_filter()
            await self._opens(found[0].address)

    async def clear_filter(self) -> None:
        """Clear the filter."""
        if self._filter.value:
            self._filter.value = ""
            self.show({StatePart.LIST})

    async def focus_filter(self) -> None:
        """Focus the filter."""
        await self._filter.focus()

    def neighbour(self, step: int) -> AppConversation | None:
        """Return the conversation that many places below the open one in the list."""
        listed = self._window.state.conversations.matching(self._filter.value)
        if not listed:
            return None
        current = self._window.state.open
        at = listed.index(current) + step if current in listed else 0
        return listed[min(max(at, 0), len(listed) - 1)]

    def show(self, parts: set[StatePart]) -> None:
        if not parts & {StatePart.LIST, StatePart.SESSION, StatePart.OPEN}:
            return
        state, texts = self._window.state, self._window.texts
        self._who.value = texts("signed_in_as", user=state.user, realm=state.realm)
        wanted = self._filter.value.strip()
        found = state.conversations.matching(wanted)
        listed = found[:MAX_SHOWN_CONVERSATIONS]
        tiles, changed = {}, []
        for c in listed:
            look = self._look(c)
            tile = self._tiles.get(c.address)
            if tile is None:
                tile = self._tile(look)
            elif tile.look != look:
                tile.show(look)
                changed.append(tile)
            tiles[c.address] = tile
        self._tiles = tiles
        self._cut.value = texts("list_cut", shown=len(listed), count=f"{len(found):,}")
        self._list.controls = [
            *tiles.values(),
            *([self._cut] if len(found) > MAX_SHOWN_CONVERSATIONS else []),
        ]
        self._hint.visible = not listed and state.listed
        self._hint_words.value = (
            texts("nothing_found", wanted=wanted) if wanted else texts("nothing_yet")
        )
        self._window.update(self.control, *changed)

    def _tile(self, look: TileLook) -> Tile:
        async def handle(_: Any) -> None:
            await self._opens(look.address)

        return Tile(look=look, open=self._window.handler(handle))

    def _look(self, c: AppConversation) -> TileLook:
        texts, zone = self._window.texts, self._window.host.zone
        line, at = texts("no_messages"), ""
        if c.last is not None:
            line = c.last.text or ""
            if c.last.file is not None:
                line = texts("file_line", name=c.last.file.name)
            who = texts("you") if c.last.state is not None else c.last.sender
            if c.is_group or c.last.state is not None:
                line = f"{who}: {line}"
            at = short(moment(c.last.time, zone), self._window.now().date(), texts)
        if c.draft and c is not self._window.state.open:
            line = texts("draft", text=c.draft)
        name, _, realm = c.title.partition("@") if not c.is_group else (c.title, "", c.realm)
        return TileLook(
            address=c.address,
            title=name,
            realm=realm,
            line=" ".join(line[:200].split()),
            clock=at,
            unread=c.unread,
            unread_words=texts("unread", count=c.unread),
            is_group=c.is_group,
            is_open=c is self._window.state.open,
        )
