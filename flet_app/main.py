"""A window from its beginning to its end."""

from __future__ import annotations

from typing import Any

import flet as ft

from flet_app import commands
from flet_app.host import Host
from flet_app.parts.controls import decoration
from flet_app.script import Said
from flet_app.state import Part
from flet_app.texts import Texts
from flet_app.theme import theme
from flet_app.views.chat import Chat
from flet_app.views.sign_in import SignIn
from flet_app.window import Window

# Each handler says what it changed: without this the whole page is compared after every event.
ft.context.disable_auto_update()

SYSTEM = ft.ThemeMode.SYSTEM
LOOKED_AT = frozenset(
    {
        ft.AppLifecycleState.RESUME,
        ft.AppLifecycleState.SHOW,
        ft.AppLifecycleState.RESTART,
        # Another window has the keys, but this one is seen.
        ft.AppLifecycleState.INACTIVE,
    }
)


class App:
    """The screens of a window: a splash, signing in, the chat."""

    def __init__(self, page: ft.Page, host: Host) -> None:
        self._window = Window(page, host, Texts(host.language))
        self._window.rebuild = self._choose_screen
        self._screen: Chat | SignIn | None = None
        self._user = ""

    async def begin(self) -> None:
        """Show the window, and go on with the session that was kept."""
        window, page = self._window, self._window.page
        page.padding = page.spacing = 0
        page.theme = page.dark_theme = theme()
        page.on_resize = window.handler(self._resized)
        page.on_close = window.handler(self._closed)
        page.on_connect = window.handler(self._back)
        page.on_disconnect = window.handler(self._gone)
        page.on_keyboard_event = window.handler(self._key)
        page.on_app_lifecycle_state_change = window.handler(self._looked)
        page.on_route_change = window.handler(self._went)
        if (script := window.host.page_script) is not None:
            script.heard, script.greeted = self._heard, self._restore_drafts
        self._put(self._splash())
        window.run(window.keep_shown())
        if kept := await window.recall("language"):
            window.texts = Texts(kept)
        colours = await window.recall("colours")
        page.theme_mode = SYSTEM
        if colours in ("light", "dark"):
            page.theme_mode = ft.ThemeMode(colours)
        if window.host.may_change_server and (server := await window.recall("server")):
            window.actions.server = server
        window.view = self
        token = await window.recall("token")
        if not token:
            self._choose_screen()
            return
        try:
            await window.actions.resume(token)
        except Exception as error:
            # A server that was named and is none, for instance: the form lets name another.
            self._choose_screen()
            window.failed(error)

    def show(self, parts: set[Part]) -> None:
        """Show another screen, or let the one that is there show what has changed."""
        if Part.SESSION in parts or (self._screen is None and Part.LINK in parts):
            # Without a connection at the start there is a form, that says so, and not a splash.
            self._choose_screen()
        elif self._screen is not None:
            self._screen.show(parts)

    def _choose_screen(self) -> None:
        window = self._window
        if isinstance(self._screen, Chat):
            self._screen.leave()
        if self._user != window.state.user:
            self._user = window.state.user
            window.close_dialogs()
            self._restore_drafts()
        self._screen = Chat(window) if window.state.user else SignIn(window)
        self._put(self._screen.control)
        self._screen.show(set(Part))
        self._introduce()
        window.show_title()
        if isinstance(self._screen, Chat) and (place := window.place):
            window.run(self._reopen(self._screen, place))

    def _heard(self, said: Said) -> None:
        """Take what the page's script says; who is not signed in yet, is told it again."""
        if isinstance(self._screen, Chat):
            self._window.run(self._screen.heard(said))

    def _restore_drafts(self) -> None:
        """Go on with what the person was writing, as the page knows it."""
        window, script = self._window, self._window.host.page_script
        if script is None or not window.state.user:
            return
        for address, text in script.take_drafts(window.state.user).items():
            c = window.state.conversation(address)
            c.draft = text
            if isinstance(self._screen, Chat):
                self._screen.restore(c)

    def _introduce(self) -> None:
        """Tell the page's script who is here, and how it all looks."""
        window = self._window
        if (script := window.host.page_script) is not None:
            script.look(window.texts.language, (window.page.theme_mode or SYSTEM).value)
            if window.state.user:
                script.signed_in(window.state.user, commands.plain())

    async def _reopen(self, screen: Chat, place: str) -> None:
        """Come back to where the person was before a reload."""
        try:
            if not place.startswith("#"):
                place = await self._window.actions.look_up(place)
            await screen.open(place)
        except Exception as error:
            self._window.failed(error)

    def _put(self, control: ft.Control) -> None:
        page = self._window.page
        page.controls = [ft.SafeArea(control, expand=True, maintain_bottom_view_padding=True)]
        page.update()

    def _splash(self) -> ft.Control:
        column = ft.Column(
            [
                decoration(ft.Icon(ft.Icons.FORUM, size=48, color=ft.Colors.PRIMARY)),
                ft.Text(self._window.texts("connecting")),
                ft.ProgressRing(width=24, height=24),
            ],
            alignment=ft.MainAxisAlignment.CENTER,
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
            expand=True,
        )
        return ft.Container(column, alignment=ft.Alignment.CENTER, expand=True)

    # What happens to the window

    async def _went(self, _: Any) -> None:
        """The person went back or forth in the browser."""
        place, c = self._window.place, self._window.state.open
        if not isinstance(self._screen, Chat) or (c.address if c else "") == place:
            return
        if place:
            await self._screen.open(place)
        else:
            self._window.actions.close_conversation()

    async def _resized(self, _: Any) -> None:
        if isinstance(self._screen, Chat):
            self._screen.resized()

    async def _key(self, event: Any) -> None:
        if isinstance(self._screen, Chat):
            await self._screen.key(event)

    async def _back(self, _: Any) -> None:
        """The browser loaded the page anew, and does not say that somebody sees it."""
        self._window.is_looked_at = True
        self._introduce()
        self.show({Part.MESSAGES})
        if isinstance(self._screen, Chat):
            await self._screen.back()

    async def _gone(self, _: Any) -> None:
        """The browser is away: what comes now is seen by nobody."""
        self._window.is_looked_at = False

    async def _looked(self, event: ft.AppLifecycleStateChangeEvent) -> None:
        """The tab came to the front or went behind others: what is behind is not read."""
        self._window.is_looked_at = event.state in LOOKED_AT
        self.show({Part.MESSAGES})

    async def _closed(self, _: Any) -> None:
        self._window.end()
        try:
            await self._window.actions.close()
        finally:
            self._window.host.close()


async def start(page: ft.Page, host: Host) -> None:
    """Begin a window; returns when it is shown, which then lives by its events."""
    await App(page, host).begin()
