"""The host of one session of the app that a browser shows."""

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

from flet_app.browser_identity import BrowserIdentity
from flet_app.file_urls import SessionFiles, Tickets
from flet_app.host import ExpectedUpload
from flet_app.language import Texts
from flet_app.script import PageScript
from shared.client import ChatClient

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""Seconds until a page that found no room for its files tries again."""


@dataclass(frozen=True, slots=True)
class RealmWay:
    """The realm that the pages talk to.

    Args:
        server: The realm's address, as people type it.
        socket: The realm's Unix socket for this app, if there is one.
    """

    server: str
    socket: Path | None


class BrowserHost:
    """The `PageHost` of one page in a browser."""

    may_change_server = False
    opens_paths = False

    def __init__(
        self,
        visitor: BrowserIdentity,
        realm: RealmWay,
        tickets: Tickets,
        session: Session,
        admitted: Callable[[Session, bool], None],
    ) -> None:
        self.server = realm.server
        self.zone: tzinfo = visitor.zone
        self.language = visitor.language
        self.folder = Path(tempfile.mkdtemp(prefix="page-", dir=tickets.folder))
        self.page_script: PageScript | None = PageScript(session)
        self._realm = realm
        self._address = visitor.address
        self._files = SessionFiles(tickets, visitor.browser, self.folder)
        self._session = weakref.ref(session)
        self._admitted = admitted
        self.known = False
        """Whether somebody is signed in."""
        # The end of the session closes the host if the app has not.
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

    def expect(self, name: str, size: int) -> ExpectedUpload:
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
    """Create the host of a page. While the disk is full, the page shows a notice and waits.

    Returns:
        None if the page was closed in the meantime.
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
        await asyncio.sleep(RETRY_SECONDS)
    return None
