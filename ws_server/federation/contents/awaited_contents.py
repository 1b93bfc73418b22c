"""File contents over all links: downloads, the sessions that await them, and uploads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from shared.background_tasks import BackgroundTasks
from ws_server.federation.contents.content_client import ContentClient
from ws_server.federation.contents.content_server import ContentServer
from ws_server.federation.frames.link_frames import ContentAnswer
from ws_server.net.file_lane import MAX_PUSHED, Pieces, push_content
from ws_server.net.session import Account, Outlet, Session
from ws_server.store.contents.blobs import Blobs
from ws_server.store.contents.files import StoredFile
from ws_server.store.database import Database
from ws_server.store.journal import Journal

MAX_AWAITING = 2_000
"""Pairs of a file from one realm and a session that awaits it; further sessions use getfile."""


class ContentTransfers:
    """The transfers of file contents from each realm, and to each realm."""

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
        self._clients: dict[int, ContentClient] = {}
        self._awaiting: dict[tuple[int, str], list[tuple[StoredFile, Session, Account]]] = {}
        self._counts: Counter[int] = Counter()

    def client(self, realm_id: int) -> ContentClient:
        """Return the downloads from a realm; they outlive its links, so each one resumes."""
        if realm_id not in self._clients:
            self._clients[realm_id] = ContentClient(
                *(self._database, self._journal, self._blobs, self._tasks), realm_id, self._finished
            )
        return self._clients[realm_id]

    def server(
        self, realm_id: int, outlet: Outlet, send: Callable[[ContentAnswer], None]
    ) -> ContentServer:
        """Return what serves contents to a realm over one link."""
        return ContentServer(self._database, self._blobs, realm_id, outlet, send)

    def expect(self, realm_id: int, file: StoredFile, sessions: Iterable[Session]) -> None:
        """Fetch the content of a file whose message is durable, then push it to sessions."""
        if file.size <= MAX_PUSHED:
            for session in sessions:
                if session.account is not None and self._counts[realm_id] < MAX_AWAITING:
                    awaiting = self._awaiting.setdefault((realm_id, file.sha256), [])
                    awaiting.append((file, session, session.account))
                    self._counts[realm_id] += 1
        self.client(realm_id).wake()

    def _finished(self, realm_id: int, sha256: str, right: bool) -> None:
        """Push a content that has arrived, or drop its waiting sessions if it was given up."""
        awaiting = self._awaiting.pop((realm_id, sha256), [])
        self._counts[realm_id] -= len(awaiting)
        for file, session, account in awaiting:
            # Skip a session that another user has signed in to since.
            if right and not session.leaving and session.account is account:
                push_content(self._pieces, file, (session,))
