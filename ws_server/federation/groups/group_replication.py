"""Replicas of groups that another realm hosts: messages in its order, members, gaps filled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import BadValue, GroupAddress
from ws_server.federation.frames.questions import (
    GroupsQuestion,
    HistoryQuestion,
    LeaveQuestion,
    RosterQuestion,
)
from ws_server.federation.groups.group_backfill import GroupBackfill
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import Peer
from ws_server.outcome import Outcome
from ws_server.publications import commit, group_outcome
from ws_server.store.conversations import Conversation
from ws_server.store.federation import replica_repair, rosters
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.federation.replica_repair import GroupPosition
from ws_server.store.federation.replicas import Relayed
from ws_server.store.federation.rosters import Roster
from ws_server.store.groups import invitations
from ws_server.store.groups.group_admission import Admission
from ws_server.store.groups.group_changes import GroupChange

log = logging.getLogger(__name__)

MAX_SOUGHT = 1_000
"""Groups whose roster is asked for on one link because a message of theirs came first."""


class GroupReplication:
    """The groups of one host, as far as this realm has members in them."""

    def __init__(self, services: LinkServices, host: Peer) -> None:
        self._services = services
        self._peer = host
        self._backfill = GroupBackfill(services, host)
        self._sought: set[int] = set()
        """Unknown groups of which the host was asked."""

    @property
    def _host(self) -> KnownRealm:
        """The host, as it is known now."""
        return self._peer.known

    @property
    def _is_stranger(self) -> bool:
        """Whether nobody here has to do with the host, so that it is not asked for groups."""
        return not (self._host.vouched or self._services.peers.trial)

    async def apply_roster(self, roster: Roster) -> None:
        """Apply a roster, publish the changes, and fetch the messages that are missing here.

        People whom a stranger adds have to accept first (`store.invitations`).

        Raises:
            ChatError: it cannot be stored, or the host does not answer.
        """
        for name in await self._apply_roster(roster):
            self._services.peers.start(self.turn_away(roster.group, name))

    async def _apply_roster(self, roster: Roster) -> list[str]:
        """Do as `apply_roster`, and return the people of this realm whom the host should remove."""
        own_key = self._services.identity.public_key
        admission = Admission()

        def change(tx: Connection, now: int) -> GroupChange | None:
            nonlocal admission  # anew for each time that the journal tries
            waits = self._services.terms.invitations_wait
            admission = Admission(waits, self._peer.expected, self._may_wait)
            return rosters.apply_roster(tx, self._host, roster, own_key, admission, now)

        group = await self._commit(change)
        # The host answers only a realm that has members in the group.
        if group is not None and any(m.realm_id is None for m in group.members.values()):
            await self._backfill.fill(roster.group, group.last_seq, roster.last_seq + 1)
            await self._backfill.complete(roster.group)
        return admission.turned_away

    def _may_wait(self) -> bool:
        """Count an invitation to one of the host's groups; in the journal's thread."""
        try:
            self._services.limits.waiting_invitation(self._host.id)
        except ChatError:
            return False
        return True

    async def refresh(self, number: int) -> None:
        """Ask the host who is in a group now.

        Raises:
            BadValue, ChatError: it does not answer, or answers no.
        """
        try:
            answer = await self._peer.ask(RosterQuestion(number))
        except ChatError as error:
            if error.code == ErrorCode.UNKNOWN_GROUP:
                await self._withdraw(number)
            raise
        await self.apply_roster(answer.roster)

    async def _withdraw(self, number: int) -> None:
        """Forget the invitations to a group in which its host has nobody of this realm."""

        await self._commit(lambda tx, now: rosters.withdraw(tx, self._host, number))

    async def accept(self, number: int, user_id: int) -> None:
        """Let somebody into a group who was invited to it.

        Raises:
            ChatError: UNKNOWN_GROUP, UNAVAILABLE.
        """
        await self._commit(lambda tx, now: rosters.accept(tx, self._host, number, user_id))
        with suppress(ChatError):  # when the host is back
            await self._backfill.complete(number)

    async def decline(self, number: int, user_id: int) -> None:
        """Turn down somebody's invitation.

        Raises:
            ChatError: UNKNOWN_GROUP, UNAVAILABLE.
        """
        await self._commit(lambda tx, now: rosters.decline(tx, self._host, number, user_id))

    async def turn_away(self, number: int, name: str) -> None:
        """Ask the host to remove somebody of this realm who stays out of its group.

        If it does not answer now, it is asked again on the next link.
        """
        try:
            answer = await self._peer.ask(LeaveQuestion(name, number))
            # A host that answers with them still in it is not asked again and again.
            await self._apply_roster(answer.roster)
        except (BadValue, ChatError) as error:
            log.debug("a host still has somebody", extra={"why": str(error)})

    async def _commit(
        self, change: Callable[[Connection, int], GroupChange | None]
    ) -> Conversation | None:
        """Change a group and let its people know.

        Returns:
            The group with its new members; None if these did not change.

        Raises:
            ChatError: what `change` refused, or UNAVAILABLE.
        """

        def run(tx: Connection, now: int) -> Outcome:
            made = change(tx, now)
            if made is None:
                return Outcome()
            return group_outcome(made, made.group if made.members_changed else None)

        group: Conversation | None = (await commit(self._services.publisher, run)).reply
        return group

    async def catch_up(self, *, renewed: bool, restored: bool) -> None:
        """Ask the host for all groups with members here, and fetch what is missing.

        The host's outbox sends all changes from now on. Rows that this realm confirmed, and lost
        when its backup was restored, are not sent again: this is the only way to them.

        Args:
            renewed: The host counts a new history: it was restored, or has never linked before.
            restored: This realm was restored, so it may not know some of its groups.
        """
        try:
            for number, name in await self._services.database.read(
                invitations.declined, self._host.id
            ):
                await self.turn_away(number, name)
            known = await self._services.database.read(replica_repair.positions, self._host.id)
            if not known and not restored:
                return
            listed: set[int] = set()
            more = True
            while more:
                answer = await self._peer.ask(GroupsQuestion(max(listed, default=0)))
                page, more = answer.groups, answer.more
                if page and page[0].group <= max(listed, default=0):
                    raise BadValue("groups come in the order of their numbers")
                for there in page:
                    listed.add(there.group)
                    here = known.get(there.group)
                    if here is not None and await self._went_back(here, there, renewed):
                        here = None
                    if here is None or here.version < there.version:
                        current = await self._peer.ask(RosterQuestion(there.group))
                        await self.apply_roster(current.roster)
                    elif here.last_seq < there.last_seq:
                        await self._backfill.fill(there.group, here.last_seq, there.last_seq + 1)
                more = more and bool(page)
            for number in known.keys() - listed:
                await self._abandon(known[number])
            await self._backfill.complete_all()
        except BadValue as error:
            log.warning("groups cannot be compared", extra={"why": str(error)})
        except ChatError as error:
            log.debug("groups were not compared", extra={"why": error.message})

    async def _went_back(self, here: GroupPosition, there: GroupPosition, renewed: bool) -> bool:
        """Follow a host that was restored from a backup; return whether it was.

        Messages that the host has lost are lost for all, as it gives their seqs to others now. A
        host that is behind was restored: the position here was read before the host was asked,
        and a host never goes back otherwise.
        """
        most = min(here.last_seq, there.last_seq)
        behind = there.last_seq < here.last_seq or there.version < here.version
        # What is not here cannot be compared, and nobody here reads it.
        least = min(here.missing, most)
        if not behind and (not renewed or most == least or await self._agree(here.group, most)):
            return False
        # Find the last seq up to which both agree: a backup is a prefix of the history.
        while least < most:
            middle = (least + most + 1) // 2
            if await self._agree(here.group, middle):
                least = middle
            else:
                most = middle - 1

        def rewind(tx: Connection, now: int) -> Outcome:
            replica_repair.rewind(tx, self._host, here.group, least)
            return Outcome(forgotten=(str(GroupAddress(here.group, self._host.name)),))

        log.warning(
            "a group's host was restored from a backup",
            extra={"realm": self._host.name, "group": here.group, "back_to": least},
        )
        await commit(self._services.publisher, rewind)
        return True

    async def _agree(self, group: int, seq: int) -> bool:
        """Return whether the host has the same message at a seq as this realm."""
        if seq == 0:
            return True
        own = await self._services.database.read(replica_repair.id_at, self._host.id, group, seq)
        page = (await self._peer.ask(HistoryQuestion(group, seq - 1, 1))).messages
        return len(page) == 1 and page[0].id == own

    async def _abandon(self, here: GroupPosition) -> None:
        """Remove the people of this realm from a group that its host no longer lists."""

        def abandon(tx: Connection, now: int) -> Outcome:
            made = replica_repair.abandon(tx, self._host, here)
            if made is None:
                return Outcome()
            outcome = group_outcome(made)
            outcome.changed, outcome.forgotten = (), (made.group.address(0),)
            return outcome

        await commit(self._services.publisher, abandon)

    async def store_relayed(self, relayed: Sequence[Relayed]) -> list[int]:
        """Store and push relayed messages; return the indexes of those of unknown groups.

        Raises:
            ChatError: they cannot be stored, or the host does not fill a gap.
        """
        unknown: list[int] = []
        begun = 0
        await self._seek({message.group for message in relayed})
        while begun < len(relayed):
            result = await self._backfill.write(relayed[begun:])
            unknown += [begun + at for at in result.unknown]
            begun += result.stopped
            if result.gap is not None:
                group, before = result.gap
                assert group.number is not None
                await self._backfill.fill(group.number, group.last_seq, before)
        return unknown

    async def _seek(self, groups: Collection[int]) -> None:
        """Ask the host for the rosters of groups that are not known here.

        A host relays only to realms with members in the group, so an unknown one was lost here.
        """
        new = {group for group in groups if group not in self._sought}
        if not new or self._is_stranger or len(self._sought) > MAX_SOUGHT:
            return
        self._sought |= new
        known = await self._services.database.read(replica_repair.known_numbers, self._host.id, new)
        for group in new - known:
            try:
                answer = await self._peer.ask(RosterQuestion(group))
                await self.apply_roster(answer.roster)
            except (BadValue, ChatError) as error:
                log.debug("a group stays unknown", extra={"why": str(error)})
