"""What comes from another realm over one link: checked, stored, pushed, and confirmed once durable.

Who sends is who the link has proven; a row names only a person of that realm and one of this.
What can never be taken is refused with a code, so that the rest flows on; what cannot be taken now
is not confirmed, and comes again on the next link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import KEY, LOCAL_NAME, Number
from shared.protocol.values import Address, BadValue, fold
from ws_server.federation import attachments
from ws_server.handlers.messages import announce
from ws_server.realm import Realm
from ws_server.store import realms, users
from ws_server.store.journal import Write
from ws_server.store.messages import Chain, Draft

log = logging.getLogger(__name__)

MAX_BATCHES = 1_024
"""Batches that may wait here; a realm that keeps to the window never has as many."""
MAX_KNOWN = 10_000
"""Senders whose ids are kept in memory."""
_POSITIVE = Number(1)


class Overrun(Exception):
    """The other side sends more than the window allows, or what no implementation would."""


class Incoming:
    """The receiving end of one link. Its methods belong to the event loop."""

    def __init__(
        self,
        realm: Realm,
        realm_id: int,
        log_name: str,
        confirm: Callable[[int, dict[int, str]], None],
        give_up: Callable[[str], None],
    ) -> None:
        """Take nothing yet.

        Args:
            log_name: Which history of the other realm its numbers count.
            confirm: Called with the last number that is durable, and what was refused.
            give_up: Called when what came cannot be stored now; the link has to end.
        """
        self._realm = realm
        self._realm_id = realm_id
        self._log_name = log_name
        self._confirm = confirm
        self._give_up = give_up
        self._batches: asyncio.Queue[list[Any]] = asyncio.Queue(MAX_BATCHES)
        self._senders: dict[str, int] = {}
        self._chain = Chain()
        self._task = asyncio.create_task(self._run())

    def take(self, items: Any) -> None:
        """Take one batch.

        Raises:
            Overrun: it is none, or too many wait.
        """
        if not isinstance(items, list) or not items:
            raise Overrun("a batch is a list of rows")
        try:
            self._batches.put_nowait(items)
        except asyncio.QueueFull:
            raise Overrun("too many batches wait") from None

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
        drafts: list[Draft] = []
        last = 0
        await self._know(items)
        for item in items:
            last = _number(item, last)
            try:
                draft = self._draft(item)
            except BadValue:
                refused[last] = ErrorCode.BAD_ARGUMENTS
                continue
            except ChatError as error:
                refused[last] = error.code
                continue
            draft.origin = last
            draft.done = self._done
            drafts.append(draft)
        for draft in drafts:
            draft.cached = self._realm.cache.get(draft.sender, draft.target)
            self._realm.journal.post(draft)

        def note(tx: Connection, now: int) -> None:
            self._chain.check()
            realms.change(tx, self._realm_id, received=last, received_log=self._log_name)

        def noted(entry: Write) -> None:
            if entry.error is not None:
                self._give_up(entry.error.message)
                return
            for draft in drafts:
                if draft.error is not None:
                    refused[draft.origin] = draft.error.code
            self._confirm(last, refused)

        end = Write(note)
        end.done = noted
        self._realm.journal.post(end)

    async def _know(self, items: list[Any]) -> None:
        """Learn the ids of senders who are new here."""
        names = {
            fold(item["from"]): item["from"]
            for item in items
            if isinstance(item, dict) and isinstance(item.get("from"), str)
        }
        new = {key: name for key, name in names.items() if key not in self._senders}
        wanted = {key: name for key, name in new.items() if _is_name(name)}
        if not wanted:
            return
        if len(self._senders) > MAX_KNOWN:
            self._senders.clear()
            wanted = {key: name for key, name in names.items() if _is_name(name)}

        def find(tx: Connection, now: int) -> dict[str, int]:
            return {
                key: users.of_realm(tx, self._realm_id, name, now).id
                for key, name in wanted.items()
            }

        self._senders.update(await self._realm.journal.write(find))

    def _draft(self, item: dict[str, Any]) -> Draft:
        """Return the message that a row carries.

        Raises:
            BadValue: it is none that could ever be taken.
            ChatError: TOO_LARGE, its file is too large for this realm.
        """
        if item.get("kind") != "message":
            raise BadValue("no kind known here")
        sender = LOCAL_NAME.from_json(item.get("from"))
        id = KEY.from_json(item.get("id"))
        text, file = attachments.content(item)
        attachments.check_size(file, self._realm.max_file)
        return Draft(
            self._senders[fold(sender)],
            Address(LOCAL_NAME.from_json(item.get("to"))),
            text,
            file,
            source=self._realm_id,
            quota=self._realm.max_realm_files,
            # The key makes a row that comes twice, after a cut or a restored backup, come once.
            key=id,
            id=id,
            chain=self._chain,
            origin_seq=_POSITIVE.from_json(item.get("seq")),
        )

    def _done(self, draft: Draft) -> None:
        if draft.error is None and not draft.duplicate:
            announce(self._realm, draft, None)


def _is_name(name: str) -> bool:
    try:
        LOCAL_NAME.from_word(name)
    except BadValue:
        return False
    return True


def _number(item: Any, last: int) -> int:
    """Return a row's number, which must rise."""
    try:
        number = _POSITIVE.from_json(item.get("number") if isinstance(item, dict) else None)
    except BadValue:
        raise Overrun("a row has no number") from None
    if number <= last:
        raise Overrun("the numbers do not rise")
    return number
