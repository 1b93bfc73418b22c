"""Answers to the questions of another realm: about users here, and about groups hosted here.

A question acts for a user of the asking realm (`by`), never for any other user.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import HISTORY, JOINING
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import KEY, LOCAL_NAME, SEQ, Base64, Number, Text
from shared.protocol.values import MAX_GROUP_NAME, GroupAddress, fold
from ws_server import hosted_groups
from ws_server.federation.handshake import link_check
from ws_server.federation.inbound import inbound_rows
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import Peer
from ws_server.hosted_groups import OfRealm, Rule
from ws_server.publications import commit
from ws_server.store import conversations
from ws_server.store.accounts import blocks, users
from ws_server.store.accounts.users import User
from ws_server.store.federation import realms, roster_sync
from ws_server.store.federation.realms import KnownRealm

_GROUP_NAME = Text(MAX_GROUP_NAME, one_line=True)
_PAGE = Number(1, 200)
_PUBLIC_KEY = Base64(size=32)


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
class Question:
    """One question of a realm.

    The properties parse the body, and raise BadValue if it is malformed. They are read before a
    transaction begins.
    """

    services: LinkServices
    peer: Peer
    """The asking realm."""
    asker: KnownRealm
    """The asking realm's record when the question arrived."""
    body: Mapping[str, Any]

    @property
    def by(self) -> str:
        """The name of the asking realm's user."""
        name: str = LOCAL_NAME.from_json(self.body.get("by"))
        return name

    @property
    def caller(self) -> OfRealm:
        """The same user, as the author of a change to a group."""
        return OfRealm(self.asker.id, self.by)

    @property
    def group(self) -> GroupAddress:
        return GroupAddress(inbound_rows.GROUP_NUMBER.from_json(self.body.get("group")))

    @property
    def user(self) -> ByKey:
        """The user whom the question is about."""
        who = inbound_rows.fields(self.body.get("user"))
        name = LOCAL_NAME.from_json(who.get("name"))
        key = _PUBLIC_KEY.from_json(who["key"]) if "key" in who else None
        return ByKey(name, None if key == self.services.identity.public_key else key)

    def count_name(self) -> None:
        """Count a lookup of a name, so that a realm cannot enumerate the users here.

        Raises:
            ChatError: RATE_LIMITED, whether or not the name exists.
        """
        self.services.limits.name(self.asker)

    def name_was_there(self) -> None:
        """Undo the last count, because a user has the name."""
        self.services.limits.name_was_there(self.asker)

    def check_is_no_stranger(self) -> None:
        """Refuse to host groups for a realm that no local user has confirmed.

        Its users could add users of this realm to such groups.

        Raises:
            ChatError: FORBIDDEN.
        """
        if not (self.asker.vouched or self.services.peers.trial):
            raise realms.forbidden(
                "No user here has confirmed your realm yet: one of them must first add it, or "
                "write to one of its users"
            )


Answerer = Callable[[Question], Awaitable[dict[str, Any]]]
ANSWERS: dict[str, Answerer] = {}


def answers(what: str) -> Callable[[Answerer], Answerer]:
    """Register the function that answers a kind of question."""

    def register(answerer: Answerer) -> Answerer:
        assert what not in ANSWERS, f"{what} is answered twice"
        ANSWERS[what] = answerer
        return answerer

    return register


async def answer(
    services: LinkServices, peer: Peer, what: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    """Answer one question.

    Raises:
        ChatError: the refusal; RATE_LIMITED, the realm asks too many questions; BAD_COMMAND, the
            kind of question is unknown.
        BadValue: the question is malformed.
    """
    services.limits.question(peer.known)
    answerer = ANSWERS.get(what)
    if answerer is None:
        raise ChatError(ErrorCode.BAD_COMMAND, f"{what[:32]} is not understood here")
    return await answerer(Question(services, peer, peer.known, body))


@answers("user")
async def user(question: Question) -> dict[str, Any]:
    """Return the spelling of a local user's name; refuse if the user has blocked the asker."""
    name = LOCAL_NAME.from_json(question.body.get("name"))
    question.count_name()
    by = question.by if "by" in question.body else None

    def look(tx: Connection) -> User:
        found = users.active(tx, name)
        asker = None if by is None else users.find_of(tx, question.asker.id, by)
        if asker is not None and blocks.blocks(tx, found.id, asker.id):
            raise blocks.refused(found.name)
        return found

    found = await question.services.database.read(look)
    question.name_was_there()
    return {"name": found.name}


@answers("history")
async def history(question: Question) -> dict[str, Any]:
    """Return a page of a group hosted here."""
    after = SEQ.from_json(question.body.get("after"))
    limit = _PAGE.from_json(question.body.get("limit"))
    page = await question.services.database.read(
        roster_sync.history, question.asker.id, question.group.number, after, limit
    )
    if page is None:
        raise conversations.unknown_group(question.group)
    return {"messages": page}


@answers("groups")
async def groups(question: Question) -> dict[str, Any]:
    """Return versions and last seqs of groups hosted here that have members of the asking realm."""
    after = SEQ.from_json(question.body.get("after"))
    found = await question.services.database.read(roster_sync.groups, question.asker.id, after)
    return {"groups": found, "more": len(found) == roster_sync.MAX_LISTED}


@answers("roster")
async def roster(question: Question) -> dict[str, Any]:
    """Return the roster of a group hosted here that has members of the asking realm."""
    number = question.group.number
    found = await question.services.database.read(roster_sync.of_realm, question.asker.id, number)
    if found is None:
        raise conversations.unknown_group(question.group)
    return {"roster": found}


@answers("probe")
async def probe(question: Question) -> dict[str, Any]:
    """Enqueue a probe row for the asking realm, and return the time here in Unix milliseconds."""
    token = KEY.from_json(question.body.get("token"))
    await link_check.write(question.services.journal, question.peer, token)
    return {"time": time.time_ns() // 1_000_000}


async def _change(question: Question, rule: Rule) -> dict[str, Any]:
    """Change a group hosted here, and return its new roster."""
    change = hosted_groups.change(rule, hosted_groups.roster)
    return {"roster": (await commit(question.services.publisher, change)).reply}


@answers("creategroup")
async def creategroup(question: Question) -> dict[str, Any]:
    """Create a group owned by a user of the asking realm; idempotent by the request's id."""
    question.check_is_no_stranger()
    name = _GROUP_NAME.from_json(question.body.get("name"))
    request = f"{question.asker.id}:{KEY.from_json(question.body.get('request'))}"
    request = hashlib.sha256(request.encode()).hexdigest()
    return await _change(question, hosted_groups.create(question.caller, name, request))


@answers("invite")
async def invite(question: Question) -> dict[str, Any]:
    """Add or invite a user to a group, for a member of the asking realm."""
    question.check_is_no_stranger()
    caller, group, named = question.caller, question.group, question.user
    question.count_name()
    waits, limits = question.services.terms.invitations_wait, question.services.limits
    limits.realm_invitation(question.asker.id)
    limits.invitation((caller.realm_id, fold(caller.name)))

    rule = hosted_groups.invite(caller, group, named, waits=waits)
    roster = await _change(question, rule)
    question.name_was_there()
    return roster


@answers("kick")
async def kick(question: Question) -> dict[str, Any]:
    """Remove a user from a group, for its owner in the asking realm."""
    return await _govern(question, "kick")


@answers("ban")
async def ban(question: Question) -> dict[str, Any]:
    """Ban a user from a group, for its owner in the asking realm."""
    return await _govern(question, "ban")


@answers("unban")
async def unban(question: Question) -> dict[str, Any]:
    """Unban a user, for the group's owner in the asking realm."""
    return await _govern(question, "unban")


async def _govern(question: Question, command: str) -> dict[str, Any]:
    caller, group, named = question.caller, question.group, question.user
    return await _change(question, hosted_groups.govern(command, caller, group, named))


@answers("grouphistory")
async def grouphistory(question: Question) -> dict[str, Any]:
    """Set the history that new members of a group see, for its owner in the asking realm."""
    joining = HISTORY.from_json(question.body.get("history")) == JOINING
    rule = hosted_groups.choose_history(question.caller, question.group, joining=joining)
    return await _change(question, rule)


@answers("leave")
async def leave(question: Question) -> dict[str, Any]:
    """Remove a member of the asking realm from a group, at their own request."""
    rule = hosted_groups.leave(question.caller, question.group)
    return await _change(question, rule)
