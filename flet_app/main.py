"""The life of a window, from start to end."""

from __future__ import annotations

from typing import Any

import flet as ft

from flet_app import commands
from flet_app.host import PageHost
from flet_app.language import Texts
from flet_app.parts.controls import decoration
from flet_app.script import PageFrame
from flet_app.state import StatePart
from flet_app.theme import theme
from flet_app.views.chat import ChatScreen
from flet_app.views.sign_in import SignInScreen
from flet_app.window import Window

# Each handler updates what it changed. Otherwise Flet compares the whole page after every event.
ft.context.disable_auto_update()

SYSTEM = ft.ThemeMode.SYSTEM
LOOKED_AT = frozenset(
    {
        ft.AppLifecycleState.RESUME,
        ft.AppLifecycleState.SHOW,
        ft.AppLifecycleState.RESTART,
        # Another window has the keyboard focus, but this one is visible.
        ft.AppLifecycleState.INACTIVE,
    }
)


class App:
    """The screens of a window: a splash, signing in, the chat."""

    def __init__(self, page: ft.Page, host: PageHost) -> None:
        self._window = Window(page, host, Texts(host.language))
        self._window.rebuild = self._choose_screen
        self._screen: ChatScreen | SignInScreen | None = None
        self._user = ""

    async def begin(self) -> None:
        """Show the window and resume the kept session."""
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
        token = await window.kept_token()
        if not token:
            self._choose_screen()
            return
        try:
            await window.actions.resume(token)
        except Exception as error:  # noqa: BLE001 - `failed` shows and logs it
            # A server that was named and is none, for instance: the form lets name another.
            self._choose_screen()
            window.failed(error)

    def show(self, parts: set[StatePart]) -> None:
        """Switch to another screen, or let the current one show the changes."""
        if StatePart.SESSION in parts or (self._screen is None and StatePart.LINK in parts):
            # Without a connection at the start, show the form with the reason instead of the
            # splash.
            self._choose_screen()
        elif self._screen is not None:
            self._screen.show(parts)

    def _choose_screen(self) -> None:
        window = self._window
        if isinstance(self._screen, ChatScreen):
            self._screen.leave()
        if self._user != window.state.user:
            self._user = window.state.user
            window.close_dialogs()
            self._restore_drafts()
        self._screen = ChatScreen(window) if window.state.user else SignInScreen(window)
        self._put(self._screen.control)
        self._screen.show(set(StatePart))
        self._introduce()
        window.show_title()
        if isinstance(self._screen, ChatScreen) and (place := window.place):
            window.run(self._reopen(self._screen, place))

    def _heard(self, said: PageFrame) -> None:
        """Handle a message of the page's script; it repeats those that come before signing in."""
        if isinstance(self._screen, ChatScreen):
            self._window.run(self._screen.heard(said))

    def _restore_drafts(self) -> None:
        """Restore the drafts that the page has kept."""
        window, script = self._window, self._window.host.page_script
        if script is None or not window.state.user:
            return
        for address, text in script.take_drafts(window.state.user).items():
            c = window.state.conversation(address)
            c.draft = text
            if isinstance(self._screen, ChatScreen):
                self._screen.restore(c)

    def _introduce(self) -> None:
        """Tell the page's script who is signed in, and the colours."""
        window = self._window
        if (script := window.host.page_script) is not None:
            script.look(window.texts.language, (window.page.theme_mode or SYSTEM).value)
            if window.state.user:
                script.signed_in(window.state.user, commands.plain())

    async def _reopen(self, screen: ChatScreen, place: str) -> None:
        """Reopen the conversation that was open before a reload."""
        try:
            if not place.startswith("#"):
                place = await self._window.actions.look_up(place)
            await screen.open(place)
        except Exception as error:  # noqa: BLE001 - `failed` shows and logs it
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

    # Events of the window

    async def _went(self, event: Any) -> None:
        """The person went back or forward in the browser."""
        if self._window.is_own(event.route):
            return
        place, c = self._window.place, self._window.state.open
        if not isinstance(self._screen, ChatScreen) or (c.address if c else "") == place:
            return
        if place:
            await self._screen.open(place)
        else:
            self._window.actions.close_conversation()

    async def _resized(self, _: Any) -> None:
        if isinstance(self._screen, ChatScreen):
            self._screen.resized()

    async def _key(self, event: Any) -> None:
        if isinstance(self._screen, ChatScreen):
            await self._screen.key(event)

    async def _back(self, _: Any) -> None:
        """The browser has reconnected; it does not report whether the page is visible."""
        self._window.is_looked_at = True
        self._introduce()
        self.show({StatePart.MESSAGES})
        if isinstance(self._screen, ChatScreen):
            await self._screen.back()

    async def _gone(self, _: Any) -> None:
        """The browser has disconnected: nobody sees new messages."""
        self._window.is_looked_at = False

    async def _looked(self, event: ft.AppLifecycleStateChangeEvent) -> None:
        """The tab became visible or hidden: messages in a hidden tab are not read."""
        self._window.is_looked_at = event.state in LOOKED_AT
        self.show({StatePart.MESSAGES})

    async def _closed(self, _: Any) -> None:
        self._window.end()
        try:
            await self._window.actions.close()
        finally:
            self._window.host.close()


async def start(page: ft.Page, host: PageHost) -> None:
    """Start a window; returns once it is shown. Events drive it from then on."""
    await App(page, host).begin()
