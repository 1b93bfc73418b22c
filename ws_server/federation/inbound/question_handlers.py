"""Answers to the questions of another realm: about users here, and about groups hosted here.

A question acts for a user of the asking realm (`by`), never for any other user. An answer is the
JSON of the shape that `frames.questions` declares for it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from shared.protocol.commands.groups import JOINING
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import GroupAddress, fold
from ws_server import hosted_groups
from ws_server.federation.frames import questions
from ws_server.federation.frames.questions import (
    BanQuestion,
    CreateGroupQuestion,
    Governing,
    GroupHistoryQuestion,
    GroupsQuestion,
    HistoryQuestion,
    InviteQuestion,
    KickQuestion,
    LeaveQuestion,
    NamedUser,
    ProbeQuestion,
    RosterQuestion,
    UnbanQuestion,
    UserQuestion,
)
from ws_server.federation.handshake import link_check
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import Peer
from ws_server.hosted_groups import OfRealm, Rule
from ws_server.publications import commit
from ws_server.store import conversations
from ws_server.store.accounts import blocks, users
from ws_server.store.accounts.users import User
from ws_server.store.federation import realms, roster_sync
from ws_server.store.federation.realms import KnownRealm

Q = TypeVar("Q", bound=questions.Question[Any])


@dataclass(frozen=True, slots=True)
class ByKey:
    """A user of this realm, the asking realm or a third one; a `hosted_groups.Named`."""

    name: str
    key: bytes | None
    """The key of the user's realm; None for this realm."""

    def find(self, tx: Connection) -> User | None:
        """Return the user; None if there is no such user here.

        Raises:
            ChatError: UNKNOWN_REALM, no realm here has the key.
        """
        if self.key is None:
            return users.find(tx, self.name)
        return users.find_of(tx, self._realm_id(tx, self.key), self.name)

    def note(self, tx: Connection, now: int) -> User | None:
        """Return the user, and create a user of another realm, because that realm vouches for them.

        Returns:
            The user; None if this realm has no such user.

        Raises:
            ChatError: UNKNOWN_REALM, no realm here has the key.
        """
        if self.key is None:
            return users.find(tx, self.name)
        return users.of_realm(tx, self._realm_id(tx, self.key), self.name, now)

    def _realm_id(self, tx: Connection, key: bytes) -> int:
        realm = realms.by_key(tx, key)
        if realm is None:
            raise ChatError(
                ErrorCode.UNKNOWN_REALM, f"The host does not know the realm of {self.name}"
            )
        return realm.id


@dataclass(frozen=True, slots=True)
class Asker:
    """The realm that asks a question, and the services that answer it."""

    services: LinkServices
    peer: Peer
    known: KnownRealm
    """Its record when the question arrived."""

    def caller(self, by: str) -> OfRealm:
        """Return its user who asks, as the author of a change to a group."""
        return OfRealm(self.known.id, by)

    def user(self, named: NamedUser) -> ByKey:
        """Return the user whom a question is about."""
        is_own = named.key == self.services.identity.public_key
        return ByKey(named.name, None if is_own else named.key)

    def count_name(self) -> None:
        """Count a lookup of a name, so that a realm cannot enumerate the users here.

        Raises:
            ChatError: RATE_LIMITED, whether or not the name exists.
        """
        self.services.limits.name(self.known)

    def name_was_there(self) -> None:
        """Undo the last count, because a user has the name."""
        self.services.limits.name_was_there(self.known)

    def check_is_no_stranger(self) -> None:
        """Refuse to host groups for a realm that no local user has confirmed.

        Its users could add users of this realm to such groups.

        Raises:
            ChatError: FORBIDDEN.
        """
        if not (self.known.vouched or self.services.peers.trial):
            raise realms.forbidden(
                "No user here has confirmed your realm yet: one of them must first add it, or "
                "write to one of its users"
            )


Answerer = Callable[[Asker, Q], Awaitable[dict[str, Any]]]
ANSWERS: dict[type[questions.Question[Any]], Answerer[Any]] = {}


def answers(*kinds: type[Q]) -> Callable[[Answerer[Q]], Answerer[Q]]:
    """Register the function that answers one or more kinds of question."""

    def register(answerer: Answerer[Q]) -> Answerer[Q]:
        for kind in kinds:
            assert kind not in ANSWERS, f"{kind.__name__} is answered twice"
            ANSWERS[kind] = answerer
        return answerer

    return register


async def answer(
    services: LinkServices, peer: Peer, what: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Answer one question.

    Raises:
        ChatError: the refusal; RATE_LIMITED, the realm asks too many questions; BAD_COMMAND, the
            kind of question is unknown.
        BadValue: the question is malformed.
    """
    services.limits.question(peer.known)
    question = questions.read(what, fields)
    return await ANSWERS[type(question)](Asker(services, peer, peer.known), question)


@answers(UserQuestion)
async def user(asker: Asker, question: UserQuestion) -> dict[str, Any]:
    """Return the spelling of a local user's name; refuse if the user has blocked the asker."""
    asker.count_name()

    def look(tx: Connection) -> User:
        found = users.active(tx, question.name)
        by = None if question.by is None else users.find_of(tx, asker.known.id, question.by)
        if by is not None and blocks.blocks(tx, found.id, by.id):
            raise blocks.refused(found.name)
        return found

    found = await asker.services.database.read(look)
    asker.name_was_there()
    return {"name": found.name}


@answers(HistoryQuestion)
async def history(asker: Asker, question: HistoryQuestion) -> dict[str, Any]:
    """Return a page of a group hosted here."""
    group = question.group
    page = await asker.services.database.read(
        roster_sync.history, asker.known.id, group, question.after, question.limit
    )
    if page is None:
        raise conversations.unknown_group(GroupAddress(group))
    return {"messages": page}


@answers(GroupsQuestion)
async def groups(asker: Asker, question: GroupsQuestion) -> dict[str, Any]:
    """Return versions and last seqs of groups hosted here that have members of the asking realm."""
    found = await asker.services.database.read(roster_sync.groups, asker.known.id, question.after)
    return {"groups": found, "more": len(found) == roster_sync.MAX_LISTED}


@answers(RosterQuestion)
async def roster(asker: Asker, question: RosterQuestion) -> dict[str, Any]:
    """Return the roster of a group hosted here that has members of the asking realm."""
    found = await asker.services.database.read(roster_sync.of_realm, asker.known.id, question.group)
    if found is None:
        raise conversations.unknown_group(GroupAddress(question.group))
    return {"roster": found}


@answers(ProbeQuestion)
async def probe(asker: Asker, question: ProbeQuestion) -> dict[str, Any]:
    """Enqueue a probe row for the asking realm, and return the time here in Unix milliseconds."""
    await link_check.write(asker.services.journal, asker.peer, question.token)
    return {"time": time.time_ns() // 1_000_000}


async def _change(asker: Asker, rule: Rule) -> dict[str, Any]:
    """Change a group hosted here, and return its new roster."""
    change = hosted_groups.change(rule, hosted_groups.roster)
    return {"roster": (await commit(asker.services.publisher, change)).reply}


@answers(CreateGroupQuestion)
async def creategroup(asker: Asker, question: CreateGroupQuestion) -> dict[str, Any]:
    """Create a group owned by a user of the asking realm; idempotent by the request's id."""
    asker.check_is_no_stranger()
    request = f"{asker.known.id}:{question.request}"
    request = hashlib.sha256(request.encode()).hexdigest()
    rule = hosted_groups.create(asker.caller(question.by), question.name, request)
    return await _change(asker, rule)


@answers(InviteQuestion)
async def invite(asker: Asker, question: InviteQuestion) -> dict[str, Any]:
    """Add or invite a user to a group, for a member of the asking realm."""
    asker.check_is_no_stranger()
    caller, group = asker.caller(question.by), GroupAddress(question.group)
    asker.count_name()
    waits, limits = asker.services.terms.invitations_wait, asker.services.limits
    limits.realm_invitation(asker.known.id)
    limits.invitation((caller.realm_id, fold(caller.name)))

    rule = hosted_groups.invite(caller, group, asker.user(question.user), waits=waits)
    roster = await _change(asker, rule)
    asker.name_was_there()
    return roster


@answers(KickQuestion, BanQuestion, UnbanQuestion)
async def govern(asker: Asker, question: Governing) -> dict[str, Any]:
    """Remove, ban or unban a user, for a group's owner in the asking realm."""
    caller, group = asker.caller(question.by), GroupAddress(question.group)
    command, named = question.declared.kind, asker.user(question.user)
    return await _change(asker, hosted_groups.govern(command, caller, group, named))


@answers(GroupHistoryQuestion)
async def grouphistory(asker: Asker, question: GroupHistoryQuestion) -> dict[str, Any]:
    """Set the history that new members of a group see, for its owner in the asking realm."""
    caller, group = asker.caller(question.by), GroupAddress(question.group)
    joining = question.history == JOINING
    return await _change(asker, hosted_groups.choose_history(caller, group, joining=joining))


@answers(LeaveQuestion)
async def leave(asker: Asker, question: LeaveQuestion) -> dict[str, Any]:
    """Remove a member of the asking realm from a group, at their own request."""
    caller, group = asker.caller(question.by), GroupAddress(question.group)
    return await _change(asker, hosted_groups.leave(caller, group))
