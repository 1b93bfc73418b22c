"""Where one session of the app runs that is shown in a browser."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from flet.messaging.session import Session

from flet_app.host import Expected
from flet_app.script import PageScript
from flet_app.tickets import SessionFiles, Tickets
from flet_app.visitors import Visitor
from shared.client import ChatClient


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
