"""The pages that are kept: their WebSockets, their sessions, and bounds on both.

Flet keeps a session for a while after its WebSocket has closed, so that a reload or a lost network
can resume it. The bounds therefore count sessions, and WebSockets without a session yet.
"""

from __future__ import annotations

import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flet.messaging.protocol import MessageAction
from flet.messaging.session import Session

from flet_app.browser_host import BrowserHost
from flet_app.browser_identity import BrowserIdentity
from flet_app.frame_filter import Frames
from flet_app.frame_shapes import fits_page
from flet_app.page_connection import PageConnection
from flet_app.page_socket import PageSocket
from flet_app.script import HelloFrame, PageScript
from shared.background_tasks import BackgroundTasks

MIN_PAGES_MORE = 2
"""How many more pages an address must have than another one before it loses an open one."""


@dataclass(eq=False, slots=True)
class BrowserSocket:
    """One WebSocket of a browser, and the sessions that it started."""

    visitor: BrowserIdentity
    flet: PageConnection
    wire: PageSocket
    frames: Frames
    begun: list[weakref.ref[Session]] = field(default_factory=list)
    end: Callable[[], None] = lambda: None
    since: float = field(default_factory=time.monotonic)
    hello: HelloFrame = field(default_factory=HelloFrame)
    script: PageScript | None = None
    """The filter of the session that the WebSocket shows."""
    session: weakref.ref[Session] | None = None
    """That session."""
    heard: bool = False
    """Its latest frame was one for Flet."""

    @property
    def shown(self) -> Session | None:
        """The session that is shown over it, if there still is one."""
        return self.session() if self.session is not None else None

    def judge(self, action: MessageAction, body: dict[str, Any]) -> bool:
        """Tell whether the page may say this now; see `frame_shapes.fits_page`."""
        session = self.shown
        return session is not None and fits_page(session, action, body)

    def admit(self, known: bool) -> None:
        """Allow large frames, or refuse them again."""
        self.frames.known = known
        self.wire.admit(known)


class KeptPages:
    """All pages with a WebSocket or a session.

    When there are too many, the address with the most pages loses one to an address with fewer.

    Args:
        most, per_address: Sessions at once, of all and of one address, including lingering ones.
    """

    def __init__(self, most: int, per_address: int) -> None:
        self._most = most
        self._per_address = per_address
        self._ending = BackgroundTasks()
        self.sockets: set[BrowserSocket] = set()
        self.sessions: weakref.WeakKeyDictionary[Session, BrowserIdentity] = (
            weakref.WeakKeyDictionary()
        )
        self.hosts: weakref.WeakKeyDictionary[Session, BrowserHost] = weakref.WeakKeyDictionary()

    def refuses(self, visitor: BrowserIdentity) -> bool:
        """Tell whether this browser may not open another page now; another page may end for it."""
        kept = self._visitors()
        ours = sum(other.network == visitor.network for other in kept)
        # Twice as many, because new sessions may replace lingering ones.
        if ours >= 2 * self._per_address:
            return True
        if ours >= self._per_address:
            return not self._may_come_back(visitor)
        if len(kept) < self._most:
            return False
        if len(kept) < 2 * self._most and self._may_come_back(visitor):
            return False
        return not self._end_one_of_many(kept, ours)

    def _may_come_back(self, visitor: BrowserIdentity) -> bool:
        return any(
            session.connection is None and other.browser == visitor.browser
            for session, other in self._lingering()
        )

    def _lingering(self) -> list[tuple[Session, BrowserIdentity]]:
        """Return the sessions whose pages are disconnected."""
        return [
            (session, visitor)
            for session, visitor in self.sessions.items()
            if session.connection is None and self.is_known(session)
        ]

    def is_known(self, session: Session) -> bool:
        """Tell whether somebody is signed in at the page of a session."""
        host = self.hosts.get(session)
        return host is not None and host.known

    def _visitors(self) -> list[BrowserIdentity]:
        """Return the visitor of each page, with repetitions."""
        return [visitor for _, visitor in self._lingering()] + [
            socket.visitor for socket in self.sockets
        ]

    def _end_one_of_many(self, kept: list[BrowserIdentity], ours: int) -> bool:
        """End a page of the address with the most: first a lingering one, then a stranger's.

        Args:
            ours: The number of pages of the requesting address.

        Returns:
            False if no address has enough pages more.
        """
        counts = Counter(visitor.network for visitor in kept)
        away = [(counts[visitor.network], session) for session, visitor in self._lingering()]
        count, session = max(away, key=lambda one: one[0], default=(0, None))
        if session is not None and count >= ours:
            self._end(session)
            return True
        network, count = counts.most_common(1)[0]
        theirs = [socket for socket in self.sockets if socket.visitor.network == network]
        if not theirs or count < ours + MIN_PAGES_MORE:
            return False
        found = min(theirs, key=lambda socket: (socket.frames.known, socket.since))
        self.sockets.discard(found)
        found.end()
        return True

    def _end(self, session: Session) -> None:
        self.sessions.pop(session, None)
        self._ending.start(session.disconnect(0))

    def make_room(self, visitor: BrowserIdentity) -> None:
        """End the browser's lingering sessions if it has started a new one instead of resuming."""
        kept = self._visitors()
        ours = [session for session, other in self._lingering() if other.network == visitor.network]
        all_of_ours = sum(other.network == visitor.network for other in kept)
        over = max(all_of_ours - self._per_address, len(kept) - self._most)
        for session in ours[: max(over, 0)]:
            self._end(session)
