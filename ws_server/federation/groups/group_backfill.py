"""Messages of another realm's groups that this realm lacks: fetched from the host, and stored.

A gap is filled with messages that are published. History that nobody here was allowed to read, and
somebody now is, is completed without publishing it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import BadValue
from ws_server.federation.frames.questions import MAX_PAGE, HistoryQuestion
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import Peer
from ws_server.key import posts_secret
from ws_server.outcome import Outcome
from ws_server.publications import commit
from ws_server.store.contents.content_fetches import FileBounds
from ws_server.store.federation import replicas
from ws_server.store.federation.authorship import Own
from ws_server.store.federation.replicas import Relayed, RelayedResult
from ws_server.store.groups import group_history


class GroupBackfill:
    """Stores messages of one host's groups, relayed or fetched."""

    def __init__(self, services: LinkServices, host: Peer) -> None:
        self._services = services
        self._peer = host

    async def fill(self, group: int, last: int, before: int) -> None:
        """Fetch the messages between two seqs of a group from its host, and publish them.

        Raises:
            ChatError: the host does not fill the gap, or the store fails.
        """
        while last + 1 < before:
            found = await self._page(group, last)
            if (await self.write(found)).gap is not None:
                raise ChatError(ErrorCode.UNAVAILABLE, "The host fills a gap with a gap")
            last = found[-1].seq

    async def _page(self, group: int, last: int) -> list[Relayed]:
        """Fetch messages after a seq: at least one, at most MAX_PAGE."""
        try:
            answer = await self._peer.ask(HistoryQuestion(group, last, MAX_PAGE))
        except BadValue as error:
            raise ChatError(ErrorCode.UNAVAILABLE, "The host fills a gap with noise") from error
        found = answer.messages
        if not found or any(row.group != group for row in found) or found[-1].seq <= last:
            raise ChatError(ErrorCode.UNAVAILABLE, "The host does not fill a gap")
        return found

    async def complete_all(self) -> None:
        """Complete all groups whose history an earlier link left incomplete."""
        for number in await self._services.database.read(
            group_history.incomplete, self._peer.known.id
        ):
            await self.complete(number)

    async def complete(self, number: int) -> None:
        """Fetch the history that somebody here may read now, and publish none of it."""
        host = self._peer.known
        missing = await self._services.database.read(group_history.missing, host.id, number)
        if missing is None:
            return
        group_id, begins, until = missing
        last = begins
        while last < until:
            found = await self._page(number, last)
            last = found[-1].seq
            old = [message for message in found if message.seq <= until]

            def store(tx: Connection, now: int, old: Sequence[Relayed] = old) -> None:
                replicas.store_missing(tx, host, group_id, old, self._own, self._bounds, now)

            await self._services.journal.write(store)

        def complete(tx: Connection, now: int) -> None:
            group_history.is_complete(tx, group_id, begins, until)

        await self._services.journal.write(complete)

    @property
    def _own(self) -> Own:
        identity = self._services.identity
        return Own(identity.public_key, posts_secret(identity.key))

    @property
    def _bounds(self) -> FileBounds:
        terms = self._services.terms
        return FileBounds(terms.max_file, terms.max_realm_files)

    async def write(self, relayed: Sequence[Relayed]) -> RelayedResult:
        own, bounds = self._own, self._bounds

        def store(tx: Connection, now: int) -> Outcome:
            result = replicas.store_relayed(tx, self._peer.known, relayed, own, bounds, now)
            # Backfilled messages too: their outbox rows, arriving later, count as duplicates.
            return Outcome(result, messages=result.messages, changed=result.moved.values())

        result: RelayedResult = (await commit(self._services.publisher, store)).reply
        return result
