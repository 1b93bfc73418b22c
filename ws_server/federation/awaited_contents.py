"""Contents that come from other realms, over all their links, and the sessions that await them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ws_server.federation.content_client import Fetching
from ws_server.net.session import Account, Session
from ws_server.publications import MAX_PUSHED, push_content
from ws_server.store.files import StoredFile

if TYPE_CHECKING:
    from ws_server.realm import Realm

MAX_AWAITING = 2_000
"""Files from one realm times sessions that await them; what is over is left to getfile."""


class Contents:
    """`Realm.contents` to the links and the handlers."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._fetching: dict[int, Fetching] = {}
        self._awaiting: dict[tuple[int, str], list[tuple[StoredFile, Session, Account]]] = {}
        self._counts: Counter[int] = Counter()

    def of(self, realm_id: int) -> Fetching:
        """Return what is fetched from a realm; it outlives links, so no part is begun twice."""
        if realm_id not in self._fetching:
            self._fetching[realm_id] = Fetching(self._realm, realm_id, self._came)
        return self._fetching[realm_id]

    def expect(self, realm_id: int, file: StoredFile, sessions: Iterable[Session]) -> None:
        """Fetch the content of a file whose message is durable, and push it to sessions then."""
        if file.size <= MAX_PUSHED:
            for session in sessions:
                if session.account is not None and self._counts[realm_id] < MAX_AWAITING:
                    awaiting = self._awaiting.setdefault((realm_id, file.sha256), [])
                    awaiting.append((file, session, session.account))
                    self._counts[realm_id] += 1
        self.of(realm_id).wake()

    def _came(self, realm_id: int, sha256: str, right: bool) -> None:
        """A content is here, or will not come."""
        awaiting = self._awaiting.pop((realm_id, sha256), [])
        self._counts[realm_id] -= len(awaiting)
        for file, session, account in awaiting:
            # Not if somebody else has signed in there since.
            if right and not session.leaving and session.account is account:
                push_content(self._realm, file, (session,))
