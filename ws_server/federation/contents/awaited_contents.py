"""File contents over all links: downloads, the sessions that await them, and uploads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from shared.background_tasks import BackgroundTasks
from ws_server.federation.contents.content_client import Fetching
from ws_server.federation.contents.content_server import Giving
from ws_server.net.file_lane import MAX_PUSHED, Pieces, push_content
from ws_server.net.session import Account, Outlet, Session
from ws_server.store.contents.blobs import Blobs
from ws_server.store.contents.files import StoredFile
from ws_server.store.database import Database
from ws_server.store.journal import Journal

MAX_AWAITING = 2_000
"""Pairs of a file from one realm and a session that awaits it; further sessions use getfile."""


class Contents:
    """The downloads from each realm, and the uploads over each link."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        blobs: Blobs,
        pieces: Pieces,
        tasks: BackgroundTasks,
    ) -> None:
        self._database = database
        self._journal = journal
        self._blobs = blobs
        self._pieces = pieces
        self._tasks = tasks
        self._fetching: dict[int, Fetching] = {}
        self._awaiting: dict[tuple[int, str], list[tuple[StoredFile, Session, Account]]] = {}
        self._counts: Counter[int] = Counter()

    def of(self, realm_id: int) -> Fetching:
        """Return the downloads from a realm; they outlive its links, so each one resumes."""
        if realm_id not in self._fetching:
            self._fetching[realm_id] = Fetching(
                *(self._database, self._journal, self._blobs, self._tasks), realm_id, self._finished
            )
        return self._fetching[realm_id]

    def giving(self, realm_id: int, outlet: Outlet, say: Callable[..., None]) -> Giving:
        """Return the uploads to a realm over one link.

        Args:
            say: Sends a frame, passed as its fields.
        """
        return Giving(self._database, self._blobs, realm_id, outlet, say)

    def expect(self, realm_id: int, file: StoredFile, sessions: Iterable[Session]) -> None:
        """Fetch the content of a file whose message is durable, then push it to sessions."""
        if file.size <= MAX_PUSHED:
            for session in sessions:
                if session.account is not None and self._counts[realm_id] < MAX_AWAITING:
                    awaiting = self._awaiting.setdefault((realm_id, file.sha256), [])
                    awaiting.append((file, session, session.account))
                    self._counts[realm_id] += 1
        self.of(realm_id).wake()

    def _finished(self, realm_id: int, sha256: str, right: bool) -> None:
        """Push a content that has arrived, or drop its waiting sessions if it was given up."""
        awaiting = self._awaiting.pop((realm_id, sha256), [])
        self._counts[realm_id] -= len(awaiting)
        for file, session, account in awaiting:
            # Skip a session that another user has signed in to since.
            if right and not session.leaving and session.account is account:
                push_content(self._pieces, file, (session,))
