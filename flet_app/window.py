"""What all views of one window share, and how they are shown anew when the state changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, unquote

import flet as ft

from flet_app.actions import Actions
from flet_app.conversation import Conversation
from flet_app.host import LANGUAGES, Host, NoRoom, TooManyFiles
from flet_app.parts.controls import Handler, guarded
from flet_app.parts.notices import Notices
from flet_app.state import Part, State
from flet_app.texts import Texts
from flet_app.theme import LIST_WIDTH, NARROW
from shared.client import ChatError, GroupChanged, NoAnswer
from shared.protocol.values import fold

log = logging.getLogger(__name__)

GATHERING = 0.02
"""Seconds in which changes are gathered and then shown at once."""
OTHERS = {"joined": "they_joined", "left": "they_left", "removed": "they_removed"}
ONESELF = {"joined": "you_joined", "removed": "you_removed"}
"""How it is said that somebody came to a group or went."""
EXPECTED = (ChatError, NoAnswer, OSError, NoRoom, TooManyFiles)
"""What an action may raise that is no bug."""


class View(Protocol):
    """A part of the screen."""

    def show(self, parts: set[Part]) -> None:
        """Show these parts of the state as they are now; others have not changed."""


class Window:
    """One browser tab or desktop window."""

    def __init__(self, page: ft.Page, host: Host, texts: Texts) -> None:
        self.page = page
        self.host = host
        self.texts = texts
        self.state = State(self._changed, self._people_changed)
        self.actions = Actions(self.state, host, self._remember)
        self.store = ft.SharedPreferences()
        self.view: View | None = None
        """What is on the screen."""
        self.rebuild: Callable[[], None] = lambda: None
        """Makes the screen anew, in another language or other colours."""
        self.is_looked_at = True
        """The person sees this window, rather than another tab before it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._dialogs: list[ft.AlertDialog] = []
        self._notices = Notices()
        page.overlay.append(self._notices)
        self._dirty: set[Part] = set()
        self._woken = asyncio.Event()

    @property
    def is_narrow(self) -> bool:
        return (self.page.width or 1000) < NARROW

    def now(self) -> datetime:
        """Return the time where the person is."""
        return datetime.now(self.host.zone)

    def handler(self, handle: Handler) -> Handler:
        """Return a handler that tells the person what went wrong."""
        return guarded(handle, self.failed)

    def failed(self, error: Exception) -> None:
        """Tell what went wrong; what nobody expected goes into the log too."""
        if not isinstance(error, EXPECTED):
            log.error("an action failed", exc_info=error)
        try:
            self.tell(self.texts.explain(error))
        except Exception:
            log.exception("the screen could not be shown")

    def tell(self, sentence: str) -> None:
        """Say something above the screen, for some seconds."""
        is_beside_list = self.state.user and not self.is_narrow
        self.run(self._notice(sentence, LIST_WIDTH + 16 if is_beside_list else 16))

    async def _notice(self, sentence: str, left: float) -> None:
        try:
            await self._notices.show(sentence, left)
        except Exception:
            # To tell of this too would end here again.
            log.exception("the screen could not be shown")

    def open_dialog(self, dialog: ft.AlertDialog) -> None:
        """Show a dialog above the others."""
        self._dialogs.append(dialog)
        self.page.show_dialog(dialog)

    def close_dialog(self, dialog: ft.AlertDialog | None = None) -> bool:
        """Close a dialog, or the topmost; False if it was closed already."""
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
        """Close all: they belonged to somebody who is no longer signed in."""
        while self._dialogs:
            self.close_dialog()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside the handlers, as long as the window is open."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed(error if isinstance(error, Exception) else RuntimeError(str(error)))

    def end(self) -> None:
        """The window is gone."""
        for task in self._tasks:
            task.cancel()

    def _people_changed(self, c: Conversation, change: GroupChanged) -> None:
        """Say who came to a group or went, in its messages; of oneself, above the screen."""
        texts = self.texts
        if fold(change.user) != fold(self.state.user):
            if not c.loaded or change.change not in OTHERS:
                return
            now = int(self.now().timestamp() * 1000)
            self.state.note(c, [texts(OTHERS[change.change], user=change.user)], now)
        elif change.change in ONESELF:
            self.tell(texts(ONESELF[change.change], name=change.name))

    # Showing

    def _changed(self, part: Part) -> None:
        self._dirty.add(part)
        self._woken.set()

    async def keep_shown(self) -> None:
        """Show what has changed, again and again; at most some fifty times a second."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(GATHERING)
            self._woken.clear()
            parts, self._dirty = self._dirty, set()
            try:
                if self.view is not None:
                    self.view.show(parts)
            except Exception:
                log.exception("the screen could not be shown")

    def update(self, *controls: Any) -> None:
        """Send what has changed in some controls; those that are not on the screen are skipped."""
        self.page.update(*controls)

    def show_title(self) -> None:
        """Tell in the title how much is unread."""
        name, unread = self.texts("app_name"), self.state.unread
        title = self.texts("title_unread", count=unread, name=name) if unread else name
        if self.page.title != title:
            self.page.title = title
            self.page.update()

    async def other_language(self) -> None:
        """Go on in the other language."""
        following = LANGUAGES.index(self.texts.language) + 1
        code = LANGUAGES[following % len(LANGUAGES)]
        self.texts = Texts(code)
        self.rebuild()
        await self.keep("language", code)

    async def other_colours(self) -> None:
        """Change between light and dark."""
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
        """The conversation that the address bar names; empty: none."""
        kind, _, name = (self.page.route or "").removeprefix("/").partition("/")
        sign = {"c": "", "g": "#"}.get(kind)
        return "" if sign is None or not name else sign + unquote(name)

    async def remember_place(self) -> None:
        """Let the address bar name the open conversation, so that a reload comes back to it."""
        c = self.state.open
        if self.place == (c.address if c else ""):
            return
        route = "/"
        if c is not None:
            # A # would begin the fragment, even as %23: the client decodes what it is given.
            route = f"/{'g' if c.is_group else 'c'}/{quote(c.address.removeprefix('#'), safe='@')}"
        await self.page.push_route(route)

    # What is kept between starts

    async def recall(self, key: str) -> str:
        """Return what was kept under a name; empty: nothing."""
        try:
            return str(await self.store.get(f"chat.{key}") or "")
        except (TimeoutError, RuntimeError):
            return ""

    async def keep(self, key: str, value: str) -> None:
        """Keep something in the browser, or on the desktop with the person's own files."""
        try:
            if value:
                await self.store.set(f"chat.{key}", value)
            else:
                await self.store.remove(f"chat.{key}")
        except (TimeoutError, RuntimeError):
            log.warning("the browser did not keep %s", key)

    async def _remember(self, token: str) -> None:
        if not token and self.host.page_script is not None:
            self.host.page_script.signed_out()
        await self.keep("token", token)
