"""Keeping groups that another realm hosts: its messages in its order, its members, gaps filled."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import GroupChanged
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import BadValue
from ws_server.federation import rows
from ws_server.publications import announce
from ws_server.store import comparing, replicas
from ws_server.store.comparing import Position
from ws_server.store.fetches import Room
from ws_server.store.realms import KnownRealm
from ws_server.store.replicas import Changed, Relayed, Roster, Taken

if TYPE_CHECKING:
    from ws_server.realm import Realm

log = logging.getLogger(__name__)

MAX_SOUGHT = 1_000
"""Groups whose roster is asked for on one link because a message of theirs came first."""
PAGE = 200
"""Messages asked for at a time to fill a gap."""


class Replicating:
    """The groups of one host, as far as this realm has members in them."""

    def __init__(self, realm: Realm, host: KnownRealm) -> None:
        self._realm = realm
        self._host = host
        self._sought: set[int] = set()
        """Unknown groups of which the host was asked."""

    async def enrol(self, roster: Roster) -> None:
        """Take news of a group's members, tell people, and fetch what the group has and we lack.

        Raises:
            ChatError: it cannot be stored, or the host does not answer.
        """
        own_key = self._realm.links.public_key

        def change(tx: Connection, now: int) -> Changed | None:
            return replicas.enrol(tx, self._host, roster, own_key, now)

        def tell(changed: Changed | None) -> None:
            if changed is not None:
                self._tell(changed, roster.change)

        changed: Changed | None = await self._realm.journal.write(change, tell)
        if changed is None or changed.group.last_seq >= roster.last_seq:
            return
        # Who has nobody in it any more is not told what is written in it.
        if any(member.realm_id is None for member in changed.group.members.values()):
            await self._fill(roster.group, changed.group.last_seq, roster.last_seq + 1)

    def _tell(self, changed: Changed, change: str) -> None:
        group = changed.group
        self._realm.cache.put_group(group)
        gone = change if change in ("left", "removed") else "removed"
        for name, what in [
            *((name, "joined") for name in changed.joined),
            *((name, gone) for name in changed.gone),
        ]:
            event = GroupChanged(group.address(0), group.name, name, what)
            self._realm.hub.publish(event, changed.told)

    async def catch_up(self, *, renewed: bool, restored: bool) -> None:
        """Ask the host for all groups with members here, and fetch what is missing.

        Its outbox brings all that happens from now on. What a restored backup lacks it has
        confirmed long ago, and comes by this way alone.

        Args:
            renewed: The host counts a new history: it was restored, or has never been met.
            restored: This realm was, so there may be groups of which it knows nothing.
        """
        try:
            known = await self._realm.database.read(comparing.positions, self._host.id)
            if not known and not restored:
                return
            listed: set[int] = set()
            more = True
            while more:
                answer = await self._ask("groups", after=max(listed, default=0))
                page, more = rows.positions(answer.get("groups")), answer.get("more") is True
                if page and page[0].group <= max(listed, default=0):
                    raise BadValue("groups come in the order of their numbers")
                for there in page:
                    listed.add(there.group)
                    here = known.get(there.group)
                    if here is not None and await self._went_back(here, there, renewed):
                        here = None
                    if here is None or here.version < there.version:
                        told = await self._ask("roster", group=there.group)
                        await self.enrol(rows.roster(told.get("roster")))
                    elif here.last_seq < there.last_seq:
                        await self._fill(there.group, here.last_seq, there.last_seq + 1)
                more = more and bool(page)
            for number in known.keys() - listed:
                await self._abandon(known[number])
        except BadValue as error:
            log.warning("groups cannot be compared", extra={"why": str(error)})
        except ChatError as error:
            log.debug("groups were not compared", extra={"why": error.message})

    async def _went_back(self, here: Position, there: Position, renewed: bool) -> bool:
        """Follow a host that was restored from a backup; tell whether it was.

        What it has lost it has lost for all, as it gives the same places to other messages now.
        That it is behind shows that it was restored: what is known here was read before it was
        asked, and it never goes back otherwise.
        """
        most = min(here.last_seq, there.last_seq)
        behind = there.last_seq < here.last_seq or there.version < here.version
        if not behind and (not renewed or await self._agree(here.group, most)):
            return False
        # The last seq up to which both have the same: a backup is a beginning of what was.
        least = 0
        while least < most:
            middle = (least + most + 1) // 2
            if await self._agree(here.group, middle):
                least = middle
            else:
                most = middle - 1

        def change(tx: Connection, now: int) -> None:
            comparing.rewind(tx, self._host, here.group, least)

        def forget(_: None) -> None:
            self._realm.cache.drop_group(f"#{here.group}@{self._host.name}")

        log.warning(
            "a group's host was restored from a backup",
            extra={"realm": self._host.name, "group": here.group, "back_to": least},
        )
        await self._realm.journal.write(change, forget)
        return True

    async def _agree(self, group: int, seq: int) -> bool:
        """Tell whether the host has the same message at a place as this realm."""
        if seq == 0:
            return True
        own = await self._realm.database.read(comparing.id_at, self._host.id, group, seq)
        answer = await self._ask("history", group=group, after=seq - 1, limit=1)
        page = answer.get("messages")
        return isinstance(page, list) and len(page) == 1 and rows.relayed(page[0]).id == own

    async def _abandon(self, here: Position) -> None:
        """Nobody of this realm is in a group any more."""

        def change(tx: Connection, now: int) -> Changed | None:
            return comparing.abandon(tx, self._host, here)

        def tell(changed: Changed | None) -> None:
            if changed is not None:
                self._tell(changed, "removed")
                self._realm.cache.drop_group(changed.group.address(0))

        await self._realm.journal.write(change, tell)

    async def _ask(self, what: str, **body: Any) -> dict[str, Any]:
        return await self._realm.links.ask(self._host.id, what, **body)

    async def take(self, relayed: Sequence[Relayed]) -> list[int]:
        """Store relayed messages, push the new ones, and return which are of unknown groups.

        Raises:
            ChatError: they cannot be stored, or the host does not fill a gap.
        """
        unknown: list[int] = []
        begun = 0
        await self._seek({message.group for message in relayed})
        while begun < len(relayed):
            taken = await self._write(relayed[begun:])
            unknown += [begun + at for at in taken.unknown]
            begun += taken.stopped
            if taken.gap is not None:
                group, before = taken.gap
                assert group.number is not None
                await self._fill(group.number, group.last_seq, before)
        return unknown

    async def _seek(self, groups: Collection[int]) -> None:
        """Ask the host who is in groups that are not known here.

        It relays what this realm's people may read, so a group that is unknown was lost here.
        """
        new = {group for group in groups if group not in self._sought}
        if not new or len(self._sought) > MAX_SOUGHT:
            return
        self._sought |= new
        known = await self._realm.database.read(comparing.known_numbers, self._host.id, new)
        for group in new - known:
            try:
                told = await self._ask("roster", group=group)
                await self.enrol(rows.roster(told.get("roster")))
            except (BadValue, ChatError) as error:
                log.debug("a group stays unknown", extra={"why": str(error)})

    async def _fill(self, group: int, last: int, before: int) -> None:
        """Fetch from the host what is missing of a group between two seqs, and push it."""
        while last + 1 < before:
            answer = await self._ask("history", group=group, after=last, limit=PAGE)
            page = answer.get("messages")
            if not isinstance(page, list) or not page or len(page) > PAGE:
                raise ChatError(ErrorCode.UNAVAILABLE, "The host does not fill a gap")
            try:
                found = [rows.relayed(row) for row in page]
            except BadValue as error:
                raise ChatError(ErrorCode.UNAVAILABLE, "The host fills a gap with noise") from error
            if any(row.group != group for row in found) or found[-1].seq <= last:
                raise ChatError(ErrorCode.UNAVAILABLE, "The host does not fill a gap")
            if (await self._write(found)).gap is not None:
                raise ChatError(ErrorCode.UNAVAILABLE, "The host fills a gap with a gap")
            last = found[-1].seq

    async def _write(self, relayed: Sequence[Relayed]) -> Taken:
        own_key = self._realm.links.public_key
        room = Room(self._realm.max_file, self._realm.max_realm_files)

        def store(tx: Connection, now: int) -> Taken:
            return replicas.take(tx, self._host, relayed, own_key, room, now)

        taken: Taken = await self._realm.journal.write(store, self._announce)
        return taken

    def _announce(self, taken: Taken) -> None:
        # What fills a gap too: the rows that would have brought it are no news afterwards.
        for draft in taken.drafts:
            assert draft.conversation is not None
            self._realm.cache.put(draft.conversation)
            session = self._realm.links.by_id(self._host.id).echoed(draft)
            announce(self._realm, draft, session)
