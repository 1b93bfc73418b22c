"""Rows that another realm sends over one link: validate, store, push, confirm once durable.

The sender's realm is the authenticated peer. A row may name only the peer's own users or, in groups
that the peer hosts, any member. A row that can never be stored is refused with a code, so that the
rows after it proceed. A row that cannot be stored now stays unconfirmed; the peer sends it again on
the next link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.federation.frames import rows
from ws_server.federation.frames.link_frames import Overrun
from ws_server.federation.frames.rows import (
    SENT_ROWS,
    MessageRow,
    PostRow,
    ProbeRow,
    ReceiptRow,
    Row,
    SentRow,
)
from ws_server.federation.groups.group_replication import GroupReplication
from ws_server.federation.handshake import link_check
from ws_server.federation.inbound import inbound_rows, receipts
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import Peer
from ws_server.publications import publish_entry
from ws_server.store.accounts import users
from ws_server.store.drafts import Chain, MessageEntry
from ws_server.store.entries import Entry, Mutation
from ws_server.store.federation import realms
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.federation.replicas import Relayed
from ws_server.store.federation.rosters import Roster

log = logging.getLogger(__name__)

MAX_BATCHES = 1_024
"""Batches that may wait to be stored; a peer that respects the window never reaches this."""
MAX_KNOWN = 10_000
"""Senders whose ids are cached."""
MAX_STRANGE_PEOPLE = 1_000
"""Users that are created for an unconfirmed realm; rows of further senders are refused."""
LOOK_AGAIN = 1.0
"""Seconds between two checks whether a local user has confirmed the realm."""


class TooMany(Exception):
    """An unconfirmed realm has named too many users."""


class TooLarge(Exception):
    """A file is larger than this realm accepts."""


class Incoming:
    """The incoming rows of one link. Call its methods on the event loop only."""

    def __init__(
        self,
        services: LinkServices,
        peer: Peer,
        log_name: str,
        confirm: Callable[[int, dict[int, str], str], None],
        give_up: Callable[[str], None],
    ) -> None:
        """Start with an empty queue.

        Args:
            log_name: The peer's history to which its row numbers belong.
            confirm: Called with the last durable number, the codes of the batch's refused rows by
                their numbers, and the refusals that the next link sends, as JSON.
            give_up: Called with the reason when rows cannot be stored now; the link has to end.
        """
        self._services = services
        self._peer = peer
        self._realm_id = peer.known.id
        self._reached: set[str] = set()
        """Names of existing local users that an unconfirmed realm has written to, folded."""
        self._log_name = log_name
        self._confirm = confirm
        self._give_up = give_up
        self._replication = GroupReplication(services, peer)
        self._batches: asyncio.Queue[tuple[list[object], int]] = asyncio.Queue(MAX_BATCHES)
        self._senders: dict[str, int] = {}
        self._chain = Chain()
        self._task = asyncio.create_task(self._run())

    def enqueue(self, items: list[object], size: int) -> None:
        """Queue the rows of one batch of `size` bytes.

        Raises:
            Overrun: MAX_BATCHES are waiting.
        """
        try:
            self._batches.put_nowait((items, size))
        except asyncio.QueueFull:
            raise Overrun("too many batches wait") from None

    def close(self) -> None:
        """Stop; rows that were posted to the journal are still written."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                items, size = await self._batches.get()
                await self._wait(self._services.limits.rows(self._sender_realm, len(items), size))
                await self._store(rows.decode(items))
        except Overrun as error:
            self._give_up(str(error))
        except ChatError as error:
            self._give_up(error.message)
        except Exception:
            log.exception("a batch from another realm was not stored")
            self._give_up("an internal error of this realm")

    @property
    def _sender_realm(self) -> KnownRealm:
        """The peer's present record."""
        return self._peer.known

    async def _wait(self, seconds: float) -> None:
        """Wait for a rate limit, but no longer than until a local user confirms the realm."""
        until = asyncio.get_running_loop().time() + seconds
        was_strange = not self._sender_realm.vouched
        while (left := until - asyncio.get_running_loop().time()) > 0:
            if was_strange and self._sender_realm.vouched:
                break
            await asyncio.sleep(min(left, LOOK_AGAIN))

    async def _store(self, numbered: list[tuple[int, Row | None]]) -> None:
        """Post one batch to the journal; its last entry stores the number up to which it goes."""
        refused: dict[int, str] = {}
        posted: list[Entry] = []
        relayed: list[tuple[int, Relayed]] = []
        sent = [row for _, row in numbered if isinstance(row, SENT_ROWS)]
        await self._cache_senders(sent)
        if not self._sender_realm.vouched:
            await self._count_names(sent)
        for number, row in numbered:
            if isinstance(row, Relayed):
                relayed.append((number, row))
                continue
            await self._relay(relayed, refused)
            try:
                if row is None:
                    refused[number] = ErrorCode.BAD_ARGUMENTS
                elif isinstance(row, Roster):
                    await self._replication.apply_roster(row)
                else:
                    posted.append(self._post(row, number))
            except TooLarge:
                refused[number] = ErrorCode.TOO_LARGE
            except TooMany:
                refused[number] = ErrorCode.RATE_LIMITED
        last = numbered[-1][0]
        await self._relay(relayed, refused)

        def note(tx: Connection, now: int) -> tuple[dict[int, str], str]:
            self._chain.check()
            # The journal works in order, so the outcome of each posted row is known here.
            codes = refused | {e.origin: str(e.error.code) for e in posted if e.error is not None}
            return codes, realms.receive(tx, self._realm_id, self._log_name, last, codes)

        def noted(entry: Mutation) -> None:
            if entry.error is not None:
                self._give_up(entry.error.message)
            else:
                self._confirm(last, *entry.result)

        end = Mutation(note, self._chain)
        end.done = noted
        self._services.journal.post(end)

    async def _cache_senders(self, sent: Iterable[SentRow]) -> None:
        """Cache the ids of the senders, and create users for new ones."""
        names = {fold(row.sender): row.sender for row in sent}
        if len(self._senders) > MAX_KNOWN:
            self._senders.clear()
        new = {key: name for key, name in names.items() if key not in self._senders}
        if new and not self._sender_realm.vouched:
            await self._count_people(new)
        if not new:
            return

        def find(tx: Connection, now: int) -> dict[str, int]:
            return {
                key: users.of_realm(tx, self._realm_id, name, now).id for key, name in new.items()
            }

        self._senders.update(await self._services.journal.write(find))

    async def _count_people(self, new: dict[str, str]) -> None:
        """Wait for an unconfirmed realm's budget of new users, and drop those above its bound."""

        def look(tx: Connection) -> tuple[dict[str, int], int]:
            return (
                users.known_of_realm(tx, self._realm_id, new),
                users.count_of_realm(tx, self._realm_id),
            )

        known, count = await self._services.database.read(look)
        strangers = [key for key in new if key not in known]
        for key in strangers[max(0, MAX_STRANGE_PEOPLE - count) :]:
            del new[key]
        count = len(new.keys() - known.keys())
        await self._wait(self._services.limits.new_people(self._sender_realm, count))

    async def _count_names(self, sent: Iterable[SentRow]) -> None:
        """Wait for an unconfirmed realm's budget of recipients that do not exist here."""
        names = {fold(row.to) for row in sent if not isinstance(row, PostRow)} - self._reached
        if not names:
            return
        found = await self._services.database.read(users.known_of_realm, None, names)
        if len(self._reached) > MAX_KNOWN:
            self._reached.clear()
        self._reached |= found.keys()
        missed = len(names - found.keys())
        await self._wait(self._services.limits.names_of_nobody(self._sender_realm, missed))

    def _post(self, row: SentRow | ProbeRow, number: int) -> Entry:
        """Post the change of a row to the journal.

        Raises:
            TooMany: the row's sender was not created.
            TooLarge: the row's file is larger than this realm accepts.
        """
        entry: Entry
        if isinstance(row, (MessageRow, PostRow)):
            draft = inbound_rows.draft(row, self._sender(row), self._realm_id, self._quota)
            file = draft.content.file
            if file is not None and file.size > self._services.terms.max_file:
                raise TooLarge
            entry = MessageEntry(draft, self._chain)
            entry.done = partial(publish_entry, self._services.publisher)
        elif isinstance(row, ReceiptRow):
            publisher = self._services.publisher
            entry = receipts.entry(publisher, self._sender(row), row, self._chain)
        else:
            entry = link_check.entry(self._peer, row, self._chain)
        entry.origin = number
        self._services.journal.post(entry)
        return entry

    @property
    def _quota(self) -> int:
        """Bytes that all files of the realm may have; one file's if the realm is unconfirmed."""
        most = self._services.terms.max_realm_files
        return most if self._sender_realm.vouched else min(most, self._services.terms.max_file)

    def _sender(self, row: SentRow) -> int:
        """Return the id of a row's sender.

        Raises:
            TooMany: the sender was not created.
        """
        sender = self._senders.get(fold(row.sender))
        if sender is None:
            raise TooMany
        return sender

    async def _relay(self, relayed: list[tuple[int, Relayed]], refused: dict[int, str]) -> None:
        """Store messages of groups that the peer hosts."""
        if relayed:
            for at in await self._replication.store_relayed([message for _, message in relayed]):
                refused[relayed[at][0]] = ErrorCode.UNKNOWN_GROUP
            relayed.clear()
