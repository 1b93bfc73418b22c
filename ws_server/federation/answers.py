"""What this realm answers to questions of another one: about its people, and as a host of groups.

A question is of one of the asking realm's own people (`by`), never of anybody else.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import KEY, LOCAL_NAME, SEQ, Base64, Number, Text
from shared.protocol.values import MAX_GROUP_NAME, GroupAddress
from ws_server.federation import probing, rows
from ws_server.federation.hosting import change_group
from ws_server.store import conversations, hosting, membership, realms, users
from ws_server.store.membership import GroupChange
from ws_server.store.realms import KnownRealm
from ws_server.store.users import User

if TYPE_CHECKING:
    from ws_server.realm import Realm

_GROUP_NAME = Text(MAX_GROUP_NAME, one_line=True)
_PAGE = Number(1, 200)
_PUBLIC_KEY = Base64(size=32)


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody of this realm, of the asker's, or of a third one."""

    name: str
    key: bytes | None
    """That of his realm; None if it is this one."""

    def find(self, tx: Connection) -> User | None:
        """Return who that is; None if nobody known here.

        Raises:
            ChatError: UNKNOWN_REALM.
        """
        if self.key is None:
            return users.find(tx, self.name)
        return users.find_of(tx, self._realm_id(tx, self.key), self.name)

    def note(self, tx: Connection, now: int) -> User | None:
        """Return who that is; a person of another realm is noted, as that realm vouches for them.

        Raises:
            ChatError: UNKNOWN_REALM.
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

    What it says is read, and refused with a BadValue, before a transaction is begun for it.
    """

    realm: Realm
    asker: KnownRealm
    body: Mapping[str, Any]

    @property
    def by(self) -> str:
        """The asking realm's own person."""
        name: str = LOCAL_NAME.from_json(self.body.get("by"))
        return name

    @property
    def group(self) -> GroupAddress:
        return GroupAddress(rows.GROUP_NUMBER.from_json(self.body.get("group")))

    @property
    def user(self) -> Named:
        """Whom the question is about."""
        who = rows.fields(self.body.get("user"))
        name = LOCAL_NAME.from_json(who.get("name"))
        key = _PUBLIC_KEY.from_json(who["key"]) if "key" in who else None
        return Named(name, None if key == self.realm.links.public_key else key)


Answerer = Callable[[Question], Awaitable[dict[str, Any]]]
ANSWERS: dict[str, Answerer] = {}


def answers(what: str) -> Callable[[Answerer], Answerer]:
    """Register who answers a kind of question."""

    def register(answerer: Answerer) -> Answerer:
        assert what not in ANSWERS, f"{what} is answered twice"
        ANSWERS[what] = answerer
        return answerer

    return register


async def answer(
    realm: Realm, asker: KnownRealm, what: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    """Answer one question.

    Raises:
        ChatError: no, and why; RATE_LIMITED, it asks too much.
        BadValue: it is malformed.
    """
    realm.limits.question(asker.id)
    answerer = ANSWERS.get(what)
    if answerer is None:
        raise ChatError(ErrorCode.BAD_COMMAND, f"{what[:32]} is not understood here")
    return await answerer(Question(realm, asker, body))


@answers("user")
async def user(question: Question) -> dict[str, Any]:
    """Tell whether somebody has an account here that is not disabled, and how the name is spelt."""
    name = LOCAL_NAME.from_json(question.body.get("name"))
    found = await question.realm.database.read(users.active, name)
    return {"name": found.name}


@answers("history")
async def history(question: Question) -> dict[str, Any]:
    """Return a page of a group hosted here."""
    after = SEQ.from_json(question.body.get("after"))
    limit = _PAGE.from_json(question.body.get("limit"))
    page = await question.realm.database.read(
        hosting.history, question.asker.id, question.group.number, after, limit
    )
    if page is None:
        raise conversations.unknown_group(question.group)
    return {"messages": page}


@answers("groups")
async def groups(question: Question) -> dict[str, Any]:
    """Return how far groups hosted here are that people of the asking realm are in."""
    after = SEQ.from_json(question.body.get("after"))
    found = await question.realm.database.read(hosting.groups, question.asker.id, after)
    return {"groups": found, "more": len(found) == hosting.MAX_LISTED}


@answers("roster")
async def roster(question: Question) -> dict[str, Any]:
    """Return who is in a group hosted here that people of the asking realm are in."""
    number = question.group.number
    found = await question.realm.database.read(hosting.of_realm, question.asker.id, number)
    if found is None:
        raise conversations.unknown_group(question.group)
    return {"roster": found}


@answers("probe")
async def probe(question: Question) -> dict[str, Any]:
    """Write a row that the asking realm has to store, and tell the time here."""
    token = KEY.from_json(question.body.get("token"))
    peer = question.realm.links.by_id(question.asker.id)
    await probing.write(question.realm, peer, token)
    return {"time": time.time_ns() // 1_000_000}


async def _told(
    question: Question, change: Callable[[Connection, int], GroupChange]
) -> dict[str, Any]:
    return {"roster": (await change_group(question.realm, change)).roster}


@answers("creategroup")
async def creategroup(question: Question) -> dict[str, Any]:
    """Make a group that a person of the asking realm owns; the same request makes it once."""
    name = _GROUP_NAME.from_json(question.body.get("name"))
    request = f"{question.asker.id}:{KEY.from_json(question.body.get('request'))}"
    request = hashlib.sha256(request.encode()).hexdigest()
    by = question.by

    def create(tx: Connection, now: int) -> GroupChange:
        owner = users.of_realm(tx, question.asker.id, by, now)
        return membership.create(tx, owner.id, name, now, request)

    return await _told(question, create)


@answers("invite")
async def invite(question: Question) -> dict[str, Any]:
    """Add somebody to a group, as a member of the asking realm wishes."""
    by, group, named = question.by, question.group, question.user

    def join(tx: Connection, now: int) -> GroupChange:
        member = users.of_realm(tx, question.asker.id, by, now)
        return membership.invite(tx, member.id, group, named.name, named.note(tx, now))

    return await _told(question, join)


@answers("kick")
async def kick(question: Question) -> dict[str, Any]:
    """Remove somebody from a group, as its owner in the asking realm wishes."""
    by, group, named = question.by, question.group, question.user

    def remove(tx: Connection, now: int) -> GroupChange:
        member = users.of_realm(tx, question.asker.id, by, now)
        return membership.kick(tx, member.id, group, named.name, named.find(tx))

    return await _told(question, remove)


@answers("leave")
async def leave(question: Question) -> dict[str, Any]:
    """Let a member of the asking realm go."""
    by, group = question.by, question.group

    def go(tx: Connection, now: int) -> GroupChange:
        member = users.of_realm(tx, question.asker.id, by, now)
        return membership.leave(tx, member.id, group)

    return await _told(question, go)
