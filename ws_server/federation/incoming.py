"""What comes from another realm over one link: checked, stored, pushed, and confirmed once durable.

Who sends is who the link has proven: a row names only a person of that realm, or, in groups that
realm hosts, whom it relays. What can never be taken is refused with a code, so that the rest flows
on; what cannot be taken now is not confirmed, and comes again on the next link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import LOCAL_NAME
from shared.protocol.values import BadValue, fold
from ws_server.federation import attachments, probing, receipts, rows
from ws_server.federation.attachments import TooLarge
from ws_server.federation.replicating import Replicating
from ws_server.publications import announce
from ws_server.realm import Realm
from ws_server.store import outbox, realms, users
from ws_server.store.journal import Write
from ws_server.store.messages import Chain, Draft
from ws_server.store.realms import KnownRealm
from ws_server.store.replicas import Relayed

log = logging.getLogger(__name__)

MAX_BATCHES = 1_024
"""Batches that may wait here; a realm that keeps to the window never has as many."""
MAX_KNOWN = 10_000
"""Senders whose ids are kept in memory."""


class Overrun(Exception):
    """The other side sends more than the window allows, or what no implementation would."""


class Incoming:
    """The receiving end of one link. Its methods belong to the event loop."""

    def __init__(
        self,
        realm: Realm,
        known: KnownRealm,
        log_name: str,
        confirm: Callable[[int, dict[int, str], str], None],
        give_up: Callable[[str], None],
    ) -> None:
        """Take nothing yet.

        Args:
            log_name: Which history of the other realm its numbers count.
            confirm: Called with the last number that is durable, what was refused of the batch,
                and what the next link is told of refusals, as JSON.
            give_up: Called when what came cannot be stored now; the link has to end.
        """
        self._realm = realm
        self._realm_id = known.id
        self._log_name = log_name
        self._confirm = confirm
        self._give_up = give_up
        self._replicating = Replicating(realm, known)
        self._batches: asyncio.Queue[list[Any]] = asyncio.Queue(MAX_BATCHES)
        self._senders: dict[str, int] = {}
        self._chain = Chain()
        self._task = asyncio.create_task(self._run())

    def take(self, items: Any) -> int:
        """Take one batch and return how many rows it has.

        Raises:
            Overrun: it is none, or too many wait.
        """
        if not isinstance(items, list) or not items:
            raise Overrun("a batch is a list of rows")
        try:
            self._batches.put_nowait(items)
        except asyncio.QueueFull:
            raise Overrun("too many batches wait") from None
        return len(items)

    def close(self) -> None:
        """Take no more; what was posted is written all the same."""
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                await self._store(await self._batches.get())
        except Overrun as error:
            self._give_up(str(error))
        except ChatError as error:
            self._give_up(error.message)
        except Exception:
            log.exception("a batch from another realm was not stored")
            self._give_up("a fault of this realm")

    async def _store(self, items: list[Any]) -> None:
        """Hand one batch to the journal; the last entry notes how far it went."""
        refused: dict[int, str] = {}
        posted: list[Draft | Write] = []
        relayed: list[tuple[int, Relayed]] = []
        await self._know(items)
        last = 0
        for item in items:
            last = _number(item, last)
            kind = item.get("kind")
            if kind != outbox.GROUP:
                await self._relay(relayed, refused)
            try:
                if kind == outbox.GROUP:
                    relayed.append((last, rows.relayed(item)))
                elif kind == outbox.CHANGE:
                    await self._replicating.enrol(rows.roster(item))
                else:
                    posted.append(self._post(kind, item, last))
            except BadValue:
                refused[last] = ErrorCode.BAD_ARGUMENTS
            except TooLarge:
                refused[last] = ErrorCode.TOO_LARGE
        await self._relay(relayed, refused)

        def note(tx: Connection, now: int) -> tuple[dict[int, str], str]:
            self._chain.check()
            # What was posted before is decided by now.
            codes = refused | {e.origin: str(e.error.code) for e in posted if e.error is not None}
            return codes, realms.receive(tx, self._realm_id, self._log_name, last, codes)

        def noted(entry: Write) -> None:
            if entry.error is not None:
                self._give_up(entry.error.message)
            else:
                self._confirm(last, *entry.result)

        end = Write(note, self._chain)
        end.done = noted
        self._realm.journal.post(end)

    async def _know(self, items: list[Any]) -> None:
        """Learn the ids of senders who are new here."""
        names = {
            fold(item["from"]): item["from"]
            for item in items
            if isinstance(item, dict) and _is_name(item.get("from"))
        }
        if len(self._senders) > MAX_KNOWN:
            self._senders.clear()
        new = {key: name for key, name in names.items() if key not in self._senders}
        if not new:
            return

        def find(tx: Connection, now: int) -> dict[str, int]:
            return {
                key: users.of_realm(tx, self._realm_id, name, now).id for key, name in new.items()
            }

        self._senders.update(await self._realm.journal.write(find))

    def _post(self, kind: Any, row: Mapping[str, Any], number: int) -> Draft | Write:
        """Post what a row carries.

        Raises:
            BadValue: it is nothing that could ever be taken.
            TooLarge: its file is larger than this realm takes.
        """
        entry: Draft | Write
        if kind == outbox.PROBE:
            entry = probing.taken(self._realm, self._realm_id, row, self._chain)
        elif kind == outbox.RECEIPT:
            entry = receipts.taken(self._realm, self._sender(row), row, self._chain)
        else:
            sender = self._sender(row)
            if kind == outbox.MESSAGE:
                entry = rows.private(row, sender, self._chain)
            elif kind == outbox.POST:
                entry = rows.post(row, sender, self._chain)
            else:
                raise BadValue("no kind known here")
            attachments.check_size(entry.file, self._realm.max_file)
            entry.source, entry.quota = self._realm_id, self._realm.max_realm_files
            entry.done = self._done
        entry.origin = number
        self._realm.journal.post(entry)
        return entry

    def _sender(self, row: Mapping[str, Any]) -> int:
        return self._senders[fold(LOCAL_NAME.from_json(row.get("from")))]

    def _done(self, draft: Draft) -> None:
        if draft.error is None and not draft.duplicate:
            announce(self._realm, draft, None)
            if draft.outgoing:
                self._realm.links.deliver(draft)

    async def _relay(self, relayed: list[tuple[int, Relayed]], refused: dict[int, str]) -> None:
        """Store messages of groups that the other realm hosts."""
        if relayed:
            for at in await self._replicating.take([message for _, message in relayed]):
                refused[relayed[at][0]] = ErrorCode.UNKNOWN_GROUP
            relayed.clear()


def _is_name(name: Any) -> bool:
    try:
        LOCAL_NAME.from_json(name)
    except BadValue:
        return False
    return True


def _number(item: Any, last: int) -> int:
    """Return a row's number, which must rise."""
    try:
        number = rows.POSITIVE.from_json(rows.fields(item).get("number"))
    except BadValue:
        raise Overrun("a row has no number") from None
    if number <= last:
        raise Overrun("the numbers do not rise")
    return number
