"""The rows that links carry, read: every field is checked as if a client had sent it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.protocol.kinds import LOCAL_NAME, REALM_NAME, SEQ, Base64, Number, check_characters
from shared.protocol.precis import MAX_RAW_FACTOR, tamed_name
from shared.protocol.values import (
    MAX_GROUP_NAME,
    Address,
    BadValue,
    ConversationAddress,
    GroupAddress,
)
from ws_server.store.conversations import MAX_MEMBERS
from ws_server.store.drafts import Draft, Source, Storage
from ws_server.store.message_content import from_link
from ws_server.store.replica_repair import GroupPosition
from ws_server.store.replicas import Relayed, Speaker
from ws_server.store.roster_sync import MAX_LISTED
from ws_server.store.rosters import Member, Roster

POSITIVE = Number(1)
GROUP_NUMBER = Number(1, 10**15 - 1)
"""As many digits as people and programs can write of a group."""
_ID = re.compile(r"[!-~]{1,40}")
_PUBLIC_KEY = Base64(size=32)
NO_NAME = "(no name)"
"""Stands for a group's name of which nothing can be seen."""


def fields(row: object) -> Mapping[str, Any]:
    """Return a row as an object.

    Raises:
        BadValue: it is none.
    """
    if not isinstance(row, dict):
        raise BadValue("must be an object")
    return row


def private(row: Mapping[str, Any], sender: int, realm_id: int, quota: int) -> Draft:
    """Return the private message that a row carries.

    Args:
        sender: The id of who it is from.
        realm_id: The realm that sent it.
        quota: Bytes that all files of that realm may have together.

    Raises:
        BadValue: it is none that could ever be taken.
    """
    to = Address(LOCAL_NAME.from_json(row.get("to")))
    source = Source(realm_id, _id(row), POSITIVE.from_json(row.get("seq")))
    return _draft(row, sender, to, source, quota)


def post(row: Mapping[str, Any], sender: int, realm_id: int, quota: int) -> Draft:
    """Return the message for a group hosted here that a row carries; arguments as `private`.

    Raises:
        BadValue: it is none that could ever be taken.
    """
    group = GroupAddress(GROUP_NUMBER.from_json(row.get("group")))
    return _draft(row, sender, group, Source(realm_id, _id(row)), quota)


def _draft(
    row: Mapping[str, Any], sender: int, target: ConversationAddress, source: Source, quota: int
) -> Draft:
    # The key makes a row that comes twice, after a cut or a restored backup, come once.
    return Draft(sender, target, from_link(row), source.id, Storage(quota), source)


def speaker(value: object) -> Speaker:
    """Return whom a host names.

    Raises:
        BadValue: nobody.
    """
    row = fields(value)
    name = LOCAL_NAME.from_json(row.get("name"))
    if "key" not in row:
        return Speaker(name)
    realm = REALM_NAME.from_json(row.get("realm"))
    return Speaker(name, realm, _PUBLIC_KEY.from_json(row["key"]))


def relayed(value: object) -> Relayed:
    """Return a message of a group as its host relays it.

    Raises:
        BadValue: it is none.
    """
    row = fields(value)
    return Relayed(
        group=GROUP_NUMBER.from_json(row.get("group")),
        seq=POSITIVE.from_json(row.get("seq")),
        id=_id(row),
        sender=speaker(row.get("from")),
        time=SEQ.from_json(row.get("time")),
        content=from_link(row),
    )


def roster(value: object) -> Roster:
    """Return who is in a group, as its host tells it.

    Raises:
        BadValue: it is malformed.
    """
    row = fields(value)
    members = row.get("members")
    if not isinstance(members, list) or len(members) > MAX_MEMBERS:
        raise BadValue("members must be a list")
    last_seq = SEQ.from_json(row.get("last_seq"))
    return Roster(
        group=GROUP_NUMBER.from_json(row.get("group")),
        name=_group_name(row.get("name")),
        version=POSITIVE.from_json(row.get("version")),
        last_seq=last_seq,
        members=[_member(member, last_seq) for member in members],
        change=_change(row.get("change")),
        by=speaker(row["by"]) if "by" in row else None,
        joining=row.get("history") == "joining",
    )


def _group_name(value: object) -> str:
    """Return a group's name as it is shown here.

    Its host has accepted it, perhaps by other rules. A roster that is refused would come again for
    ever, so a name is cleaned by force.

    Raises:
        BadValue: it is none.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_RAW_FACTOR * MAX_GROUP_NAME:
        raise BadValue("a group has a name")
    check_characters(value)
    return tamed_name(value, NO_NAME)[:MAX_GROUP_NAME]


def _member(value: object, last_seq: int) -> Member:
    row = fields(value)
    joined = SEQ.from_json(row.get("joined", last_seq))
    hidden = SEQ.from_json(row.get("hidden", 0))
    return Member(speaker(row), row.get("owner") is True, joined, hidden)


def _change(value: object) -> str:
    """Return why a roster is told, as far as that is known here."""
    known = ("joined", "left", "removed", "invited")
    return value if isinstance(value, str) and value in known else ""


def _id(row: Mapping[str, Any]) -> str:
    """Return a message's id, which programs show and log.

    Raises:
        BadValue: it is none.
    """
    id = row.get("id")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise BadValue("an id has 1 to 40 visible letters of ASCII")
    return id


def positions(value: object) -> list[GroupPosition]:
    """Return how far groups are, as their host lists them.

    Raises:
        BadValue: it is malformed.
    """
    if not isinstance(value, list) or len(value) > MAX_LISTED:
        raise BadValue("groups must be a list")
    return [
        GroupPosition(
            GROUP_NUMBER.from_json(row.get("group")),
            POSITIVE.from_json(row.get("version")),
            SEQ.from_json(row.get("last_seq")),
        )
        for row in map(fields, value)
    ]
