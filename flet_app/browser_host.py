"""Where one session of the app runs that is shown in a browser."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

import flet as ft
from flet.messaging.session import Session

from flet_app.host import Expected
from flet_app.script import PageScript
from flet_app.texts import Texts
from flet_app.tickets import SessionFiles, Tickets
from flet_app.visitors import Visitor
from shared.client import ChatClient

log = logging.getLogger(__name__)

RETRY = 2.0
"""Seconds until a page that found no room for its files tries again."""


@dataclass(frozen=True, slots=True)
class RealmWay:
    """Where the realm is that the pages talk to.

    Args:
        server: Its address, as people know it.
        socket: Its Unix socket, if it has one for us.
    """

    server: str
    socket: Path | None


class BrowserHost:
    """The `Host` of one page in a browser."""

    may_change_server = False
    opens_paths = False

    def __init__(
        self,
        visitor: Visitor,
        realm: RealmWay,
        tickets: Tickets,
        session: Session,
        admitted: Callable[[Session, bool], None],
    ) -> None:
        self.server = realm.server
        self.zone: tzinfo = visitor.zone
        self.language = visitor.language
        self.folder = Path(tempfile.mkdtemp(prefix="page-"))
        self.page_script: PageScript | None = PageScript(session)
        self._realm = realm
        self._address = visitor.address
        self._files = SessionFiles(tickets, visitor.browser, self.folder)
        self._session = weakref.ref(session)
        self._admitted = admitted
        self.known = False
        """Whether somebody is signed in."""
        # Should the app forget to close it, the session's end does.
        weakref.finalize(session, self._files.close)

    def admit(self, known: bool) -> None:
        self.known = known
        if (session := self._session()) is not None:
            self._admitted(session, known)

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        return ChatClient(
            server, token=token, unix=self._realm.socket, forwarded_for=self._address, **options
        )

    def show(self, path: Path, type: str) -> str:
        return self._files.show(path, type)

    def offer(self, path: Path, name: str) -> str:
        return self._files.offer(path, name)

    def expect(self, name: str, size: int) -> Expected:
        return self._files.expect(name, size)

    def withdraw(self, url: str) -> None:
        self._files.withdraw(url)

    def close(self) -> None:
        self._files.close()


async def begun(
    page: ft.Page,
    language: str,
    begin: Callable[[], BrowserHost],
    is_there: Callable[[], bool],
) -> BrowserHost | None:
    """Begin the host of a page; while the disk has no room for it, the page says so.

    Returns:
        None if the page has gone meanwhile.
    """
    is_told = False
    while is_there():
        try:
            return begin()
        except OSError as error:
            if not is_told:
                log.error("a page cannot begin: %s", error)
                text = ft.Text(Texts(language)("no_room_for_page"), size=16)
                page.controls = [ft.SafeArea(ft.Container(text, padding=24))]
                page.update()
                is_told = True
        await asyncio.sleep(RETRY)
    return None
