"""Parsing of the rows on a link; every field is validated like a client's."""

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
from ws_server.store.drafts import Draft, Source, Storage
from ws_server.store.federation.replica_repair import GroupPosition
from ws_server.store.federation.replicas import Relayed, Speaker
from ws_server.store.federation.roster_sync import MAX_LISTED
from ws_server.store.federation.rosters import Member, Roster
from ws_server.store.groups.group_members import MAX_MEMBERS
from ws_server.store.message_content import from_link

POSITIVE = Number(1)
GROUP_NUMBER = Number(1, 10**15 - 1)
"""A group's number in its host's realm; at most 15 digits, as in a group's address."""
_ID = re.compile(r"[!-~]{1,40}")
_PUBLIC_KEY = Base64(size=32)
NO_NAME = "(no name)"
"""Replaces a group's name without a visible character."""


def fields(row: object) -> Mapping[str, Any]:
    """Return a row as an object.

    Raises:
        BadValue: the row is not an object.
    """
    if not isinstance(row, dict):
        raise BadValue("must be an object")
    return row


def private(row: Mapping[str, Any], sender: int, realm_id: int, quota: int) -> Draft:
    """Parse a row with a private message.

    Args:
        sender: The id of the message's sender.
        realm_id: The id of the realm that sent the row.
        quota: Bytes that all files of that realm may have together.

    Raises:
        BadValue: the row is malformed.
    """
    to = Address(LOCAL_NAME.from_json(row.get("to")))
    source = Source(realm_id, _id(row), POSITIVE.from_json(row.get("seq")))
    return _draft(row, sender, to, source, quota)


def post(row: Mapping[str, Any], sender: int, realm_id: int, quota: int) -> Draft:
    """Parse a row with a message to a group hosted here; the arguments are those of `private`.

    Raises:
        BadValue: the row is malformed.
    """
    group = GroupAddress(GROUP_NUMBER.from_json(row.get("group")))
    return _draft(row, sender, group, Source(realm_id, _id(row)), quota)


def _draft(
    row: Mapping[str, Any], sender: int, target: ConversationAddress, source: Source, quota: int
) -> Draft:
    # The idempotency key drops a row sent twice, after a disconnect or a restored backup.
    return Draft(sender, target, from_link(row), source.id, Storage(quota), source)


def speaker(value: object) -> Speaker:
    """Parse a user as a group's host names them.

    Raises:
        BadValue: the value is malformed.
    """
    row = fields(value)
    name = LOCAL_NAME.from_json(row.get("name"))
    if "key" not in row:
        return Speaker(name)
    realm = REALM_NAME.from_json(row.get("realm"))
    return Speaker(name, realm, _PUBLIC_KEY.from_json(row["key"]))


def relayed(value: object) -> Relayed:
    """Parse a group's message that its host relays.

    Raises:
        BadValue: the value is malformed.
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
    """Parse a group's roster, at most MAX_MEMBERS members.

    Raises:
        BadValue: the value is malformed.
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

    The host may have accepted the name by other rules. The host would send a refused roster again
    for ever, so invalid characters are replaced instead.

    Raises:
        BadValue: the value is not a string, is empty or is too long.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_RAW_FACTOR * MAX_GROUP_NAME:
        raise BadValue("a group must have a name")
    check_characters(value)
    return tamed_name(value, NO_NAME)[:MAX_GROUP_NAME]


def _member(value: object, last_seq: int) -> Member:
    row = fields(value)
    joined = SEQ.from_json(row.get("joined", last_seq))
    hidden = SEQ.from_json(row.get("hidden", 0))
    return Member(speaker(row), row.get("owner") is True, joined, hidden)


def _change(value: object) -> str:
    """Return the change that caused a roster; empty if it is unknown here."""
    known = ("joined", "left", "removed", "invited")
    return value if isinstance(value, str) and value in known else ""


def _id(row: Mapping[str, Any]) -> str:
    """Return a message's id, 1 to 40 visible ASCII characters.

    Raises:
        BadValue: the row has no such id.
    """
    id = row.get("id")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise BadValue("an id must have 1 to 40 visible ASCII characters")
    return id


def positions(value: object) -> list[GroupPosition]:
    """Parse a host's list of its groups' versions and last seqs, at most MAX_LISTED entries.

    Raises:
        BadValue: the value is malformed.
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
