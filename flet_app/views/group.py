"""The members of a group: listing, inviting and removing them, leaving."""

from __future__ import annotations

from functools import partial
from typing import Any

import flet as ft

from flet_app.conversation import AppConversation
from flet_app.parts.controls import ErrorText, icon_button, text_field
from flet_app.parts.tile import avatar
from flet_app.session import whole
from flet_app.state import StatePart
from flet_app.views.asking import ask_before
from flet_app.window import EXPECTED, Window
from shared.folding import begins, fold_text
from shared.protocol.commands.groups import ALL, JOINING, GroupMember, Members
from shared.protocol.values import GroupAddress, fold

ROW_HEIGHT, MAX_LIST_HEIGHT = 42, 300
"""Pixels of height of a row, and of the list."""
MAX_SHOWN_MEMBERS = 200
"""Members that are drawn; typing finds the others."""


class GroupDialog:
    """The dialog of one group; it fetches the members again after each action."""

    def __init__(self, window: Window, c: AppConversation) -> None:
        self._window = window
        self._c = c
        texts = window.texts
        self._people = ft.ListView(spacing=2)
        self._error = ErrorText()
        invite = window.handler(self._invite)
        self._who = text_field(
            texts("person"),
            helper=texts("invite_hint"),
            expand=True,
            on_submit=invite,
            on_change=window.handler(self._typed),
        )
        self._members: list[GroupMember] = []
        self._cut = ft.Text(size=12, color=ft.Colors.OUTLINE)
        self._history = ft.Switch(
            label=texts("new_members_read"), on_change=window.handler(self._choose_history)
        )
        self._joining = ft.Text(texts("joining_only"), size=12, color=ft.Colors.OUTLINE)

        async def close(_: Any) -> None:
            window.close_dialog()

        self._dialog = ft.AlertDialog(
            scrollable=True,
            title=ft.Container(
                ft.Text(f"{c.title} ({c.address})", max_lines=2, overflow=ft.TextOverflow.ELLIPSIS),
                width=420,
            ),
            content=ft.Container(
                ft.Column(
                    [
                        ft.Text(texts("members"), weight=ft.FontWeight.W_600),
                        self._people,
                        self._cut,
                        ft.Row(
                            [self._who, ft.FilledTonalButton(texts("invite"), on_click=invite)],
                            vertical_alignment=ft.CrossAxisAlignment.START,
                        ),
                        self._history,
                        self._joining,
                        self._error,
                    ],
                    tight=True,
                    spacing=12,
                    horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
                ),
                width=420,
            ),
            actions=[
                ft.TextButton(
                    texts("leave_group"),
                    on_click=window.handler(self._leave),
                    style=ft.ButtonStyle(color=ft.Colors.ERROR),
                ),
                ft.TextButton(texts("close"), on_click=window.handler(close)),
            ],
        )

    async def open(self) -> None:
        """Fetch the members and show them."""
        await self._ask()
        self._window.open_dialog(self._dialog)

    async def _ask(self) -> None:
        address = GroupAddress.parse(self._c.address)
        pages = self._window.actions.client.pages(Members(address))
        self._members = await whole(pages, lambda page: page.members)
        self._c.members = len(self._members)
        self._window.state.changed(StatePart.OPEN)
        self._show()

    def _show(self) -> None:
        """Show the members; in a large group, only those whose names begin with the typed text."""
        me, wanted = fold(self._window.state.user), fold_text((self._who.value or "").strip())
        is_owner = any(fold(m.user) == me and m.role == "owner" for m in self._members)
        self._history.visible, self._history.value = is_owner, not self._c.joining
        self._joining.visible = self._c.joining and not is_owner
        found = self._members
        if len(found) > MAX_SHOWN_MEMBERS:
            found = [m for m in found if begins(wanted, fold_text(m.user))]
        shown = found[:MAX_SHOWN_MEMBERS]
        self._people.height = min(ROW_HEIGHT * len(shown), MAX_LIST_HEIGHT)
        self._people.controls = [self._row(m, is_owner, me) for m in shown]
        self._cut.visible = len(shown) < len(self._members)
        count = f"{len(self._members):,}"
        self._cut.value = self._window.texts("list_cut", shown=len(shown), count=count)

    async def _typed(self, _: Any) -> None:
        if len(self._members) > MAX_SHOWN_MEMBERS:
            self._show()
            self._window.update(self._dialog)

    def _row(self, member: GroupMember, is_owner: bool, me: str) -> ft.Control:
        texts = self._window.texts
        row: list[ft.Control] = [
            avatar(member.user, member.user, False, 14),
            ft.Text(member.user, expand=True),
            ft.Text(
                texts("owner" if member.role == "owner" else "member"),
                size=12,
                color=ft.Colors.OUTLINE,
            ),
        ]
        if is_owner and fold(member.user) != me:

            async def remove(_: Any) -> None:
                sentence = texts("remove_sure", user=member.user, name=self._c.title)
                kick = partial(self._window.actions.client.kick, self._c.address, member.user)

                async def go() -> None:
                    await self._did(kick())

                ask_before(self._window, sentence, texts("remove_person"), go)

            words = texts("remove", user=member.user)
            row.append(
                icon_button(words, ft.Icons.PERSON_REMOVE_OUTLINED, self._window.handler(remove))
            )
        spoken = ft.Row(row, spacing=8)
        return ft.Semantics(identifier="member", container=True, content=spoken)

    async def _invite(self, _: Any) -> None:
        who = (self._who.value or "").strip()
        if not who:
            self._who.error = self._window.texts("missing")
            self._window.update(self._dialog)
            return
        self._who.error = None
        if await self._did(self._window.actions.client.invitegroup(self._c.address, who)):
            self._who.value = ""
            self._window.update(self._dialog)

    async def _choose_history(self, _: Any) -> None:
        joining = not self._history.value
        choose = self._window.actions.client.grouphistory
        if await self._did(choose(self._c.address, JOINING if joining else ALL)):
            self._c.joining = joining
        self._show()
        self._window.update(self._dialog)

    async def _did(self, doing: Any) -> bool:
        """Await an action, then show the present members or the error."""
        self._error.say("")
        try:
            await doing
            await self._ask()
        except EXPECTED as error:
            self._error.say(self._window.texts.explain(error))
        self._window.update(self._dialog)
        return not self._error.visible

    async def _leave(self, _: Any) -> None:
        window, c = self._window, self._c
        window.close_dialog(self._dialog)
        sentence = window.texts("leave_sure", name=c.title)

        async def go() -> None:
            await window.actions.leave_group(c.address)

        ask_before(window, sentence, window.texts("leave_group"), go)
