"""What all views of one window share, and how they are redrawn when the state changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, unquote

import flet as ft

from flet_app.actions import Actions
from flet_app.conversation import AppConversation
from flet_app.host import LANGUAGES, NoRoom, PageHost, TooManyFiles
from flet_app.language import Texts
from flet_app.parts.controls import Handler, guarded
from flet_app.parts.notices import Notices
from flet_app.state import AppState, StatePart
from flet_app.theme import LIST_PIXELS, NARROW_PIXELS
from shared.background_tasks import BackgroundTasks
from shared.client import ChatError, GroupChanged, NoAnswer
from shared.protocol.values import fold

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.02
"""Seconds for which changes are gathered before they are drawn together."""
OTHERS = {
    "joined": "they_joined",
    "left": "they_left",
    "removed": "they_removed",
    "history_all": "they_show_history",
    "history_joining": "they_hide_history",
}
ONESELF = {"joined": "you_joined", "removed": "you_removed", "invited": "you_invited"}
"""The sentences for changes of a group's members, by action."""
EXPECTED = (ChatError, NoAnswer, OSError, NoRoom, TooManyFiles)
"""The errors of actions that are not bugs."""


class View(Protocol):
    """A part of the screen."""

    def show(self, parts: set[StatePart]) -> None:
        """Redraw these parts of the state; the others have not changed."""


class Window:
    """One browser tab or desktop window."""

    def __init__(self, page: ft.Page, host: PageHost, texts: Texts) -> None:
        self.page = page
        self.host = host
        self.texts = texts
        self.state = AppState(self._changed, self._people_changed)
        self.actions = Actions(self.state, host, self._remember)
        self.store = ft.SharedPreferences()
        self.view: View | None = None
        """The view on the screen."""
        self.rebuild: Callable[[], None] = lambda: None
        """Rebuilds the screen, in another language or other colours."""
        self.is_looked_at = True
        """Whether the window is visible, not hidden behind another tab."""
        self._pushed: list[str] = []
        """Places that the address bar was given, and of which it has not told yet."""
        self._tasks = BackgroundTasks(self._broke)
        self._dialogs: list[ft.AlertDialog] = []
        self._notices = Notices()
        page.overlay.append(self._notices)
        self._dirty: set[StatePart] = set()
        self._woken = asyncio.Event()

    @property
    def is_narrow(self) -> bool:
        return (self.page.width or 1000) < NARROW_PIXELS

    def now(self) -> datetime:
        """Return the time in the person's zone."""
        return datetime.now(self.host.zone)

    def handler(self, handle: Handler) -> Handler:
        """Return a handler that shows errors to the person."""
        return guarded(handle, self.failed)

    def failed(self, error: Exception) -> None:
        """Show an error to the person; log unexpected ones."""
        if not isinstance(error, EXPECTED):
            log.error("an action failed", exc_info=error)
        try:
            self.tell(self.texts.explain(error))
        except Exception:
            log.exception("the screen could not be shown")

    def tell(self, sentence: str) -> None:
        """Show a notice for some seconds."""
        is_beside_list = self.state.user and not self.is_narrow
        self.run(self._notice(sentence, LIST_PIXELS + 16 if is_beside_list else 16))

    async def _notice(self, sentence: str, left: float) -> None:
        try:
            await self._notices.show(sentence, left)
        except Exception:
            # Showing this error too would recurse.
            log.exception("the screen could not be shown")

    def open_dialog(self, dialog: ft.AlertDialog) -> None:
        """Open a dialog above the others."""
        self._dialogs.append(dialog)
        self.page.show_dialog(dialog)

    def close_dialog(self, dialog: ft.AlertDialog | None = None) -> bool:
        """Close a dialog, by default the topmost; False if it is closed already."""
        while self._dialogs:
            top = dialog or self._dialogs[-1]
            if top not in self._dialogs:
                return False
            self._dialogs.remove(top)
            if top.open:
                top.open = False
                top.update()
                return True
            if dialog is not None:
                return False
        return False

    def close_dialogs(self) -> None:
        """Close all dialogs: they belonged to a person who has signed out."""
        while self._dialogs:
            self.close_dialog()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside the handlers, as long as the window is open."""
        self._tasks.start(work)

    def _broke(self, error: BaseException) -> None:
        self.failed(error if isinstance(error, Exception) else RuntimeError(str(error)))

    def end(self) -> None:
        """The window is gone."""
        self._tasks.cancel()

    def _people_changed(self, c: AppConversation, change: GroupChanged) -> None:
        """Show who joined or left a group in its messages; show the person's own changes as a
        notice."""
        texts = self.texts
        done = change.change if change.history is None else f"history_{change.history}"
        if fold(change.user) != fold(self.state.user):
            if not c.loaded or done not in OTHERS:
                return
            now = int(self.now().timestamp() * 1000)
            self.state.note(c, [texts(OTHERS[done], user=change.user)], now)
        elif change.change in ONESELF:
            self.tell(texts(ONESELF[change.change], name=change.name))

    # Showing

    def _changed(self, part: StatePart) -> None:
        self._dirty.add(part)
        self._woken.set()

    async def keep_shown(self) -> None:
        """Redraw changed parts until the window is closed, at most about fifty times a second."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._woken.clear()
            parts, self._dirty = self._dirty, set()
            try:
                if self.view is not None:
                    self.view.show(parts)
            except Exception:
                log.exception("the screen could not be shown")

    def update(self, *controls: Any) -> None:
        """Send the changes of some controls; controls that are not on the page are skipped."""
        self.page.update(*controls)

    def show_title(self) -> None:
        """Show the number of unread messages in the title."""
        name, unread = self.texts("app_name"), self.state.conversations.unread
        title = self.texts("title_unread", count=unread, name=name) if unread else name
        if self.page.title != title:
            self.page.title = title
            self.page.update()

    async def other_language(self) -> None:
        """Switch to the other language."""
        following = LANGUAGES.index(self.texts.language) + 1
        code = LANGUAGES[following % len(LANGUAGES)]
        self.texts = Texts(code)
        self.rebuild()
        await self.keep("language", code)

    async def other_colours(self) -> None:
        """Switch between light and dark colours."""
        self.page.theme_mode = ft.ThemeMode.LIGHT if self.is_dark else ft.ThemeMode.DARK
        self.rebuild()
        await self.keep("colours", self.page.theme_mode.value)

    @property
    def is_dark(self) -> bool:
        if self.page.theme_mode == ft.ThemeMode.SYSTEM:
            return self.page.platform_brightness == ft.Brightness.DARK
        return self.page.theme_mode == ft.ThemeMode.DARK

    # The address bar

    @property
    def place(self) -> str:
        """The conversation named by the address bar; empty if none."""
        return _place_of(self.page.route or "")

    async def remember_place(self) -> None:
        """Put the open conversation into the address bar, so that a reload reopens it."""
        c = self.state.open
        route = "/"
        if c is not None:
            # A # would begin the fragment, even as %23, because the client decodes the route.
            route = f"/{'g' if c.is_group else 'c'}/{quote(c.address.removeprefix('#'), safe='@')}"
        place = c.address if c else ""
        if (self._pushed or [self.place])[-1] == place:
            return
        self._pushed.append(place)
        try:
            await self.page.push_route(route)
        finally:
            self._pushed.remove(place)

    def is_own(self, route: str) -> bool:
        """Tell whether the browser reports a route only because the app has set it."""
        return _place_of(route) in self._pushed

    # What is kept between starts

    async def recall(self, key: str) -> str:
        """Return the value stored under a name; empty if there is none."""
        try:
            return str(await self.store.get(f"chat.{key}") or "")
        except (TimeoutError, RuntimeError):
            return ""

    async def keep(self, key: str, value: str) -> None:
        """Store a value in the browser, or on the desktop among the person's own files."""
        try:
            if value:
                await self.store.set(f"chat.{key}", value)
            else:
                await self.store.remove(f"chat.{key}")
        except (TimeoutError, RuntimeError):
            log.warning("the browser did not keep %s", key)

    async def kept_token(self) -> str:
        """Return the stored token of the present server; no other server may see it."""
        server = self.actions.server
        if token := await self.recall(_token_of(server)):
            return token
        if self.host.may_change_server or not (token := await self.recall("token")):
            return ""
        # Stored by an earlier version, in a browser, whose server is always the same.
        await self._remember(server, token)
        await self.keep("token", "")
        return token

    async def _remember(self, server: str, token: str) -> None:
        if not token and self.host.page_script is not None:
            self.host.page_script.signed_out()
        await self.keep(_token_of(server), token)


def _place_of(route: str) -> str:
    kind, _, name = route.removeprefix("/").partition("/")
    sign = {"c": "", "g": "#"}.get(kind)
    return "" if sign is None or not name else sign + unquote(name)


def _token_of(server: str) -> str:
    """Return the name under which the token of a server is stored."""
    return f"token.{server.lower().rstrip('/')}"
