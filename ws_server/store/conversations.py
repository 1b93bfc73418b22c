"""Private chats and groups: their members and addresses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, and_, select

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, ConversationAddress, GroupAddress, fold
from ws_server.store.accounts import users
from ws_server.store.schema import conversations, members, realms
from ws_server.store.schema import users as user_table
from ws_server.store.timeline import timeline


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a conversation."""

    name: str
    """The member's address in this realm."""
    owner: bool
    realm_id: int | None = None
    disabled: bool = False
    """Whether the account is disabled; reliable in private chats only (`disabled_accounts`)."""


@dataclass(slots=True)
class Conversation:
    """A conversation as of `version`.

    For one version, all fields are constant except `last_seq` and `last_time`. The journal alone
    updates those two, after a commit. Each commit checks version and `last_seq`.
    """

    id: int
    number: int | None
    name: str
    version: int
    last_seq: int
    members: dict[int, Member] = field(default_factory=dict)
    """By user id, in the order of joining."""
    realm_id: int | None = None
    """The realm that hosts the group; None for this one."""
    realm: str = ""
    """The name of that realm here."""
    realms: frozenset[int] = frozenset()
    """The other realms with members in the conversation."""
    last_time: int = 0
    """The time of the newest message, Unix milliseconds; 0 if there is none."""
    blockers: frozenset[int] = frozenset()
    """In a private chat, the members who block the other one."""

    def __post_init__(self) -> None:
        self.realms = frozenset(m.realm_id for m in self.members.values() if m.realm_id is not None)

    def address(self, reader: int) -> str:
        """Return the conversation's address, as this reader writes it."""
        if self.number is not None:
            return str(GroupAddress(self.number, self.realm))
        for user_id, member in self.members.items():
            if user_id != reader:
                return member.name
        return self.members[reader].name


def blockers(low: int, high: int, low_blocks: Any, high_blocks: Any) -> frozenset[int]:
    """Return the members of a private chat who block the other one."""
    if not (low_blocks or high_blocks):
        return frozenset()
    return frozenset(id for id, blocks in ((low, low_blocks), (high, high_blocks)) if blocks)


def load(
    tx: Connection,
    *,
    id: int | None = None,
    group: GroupAddress | None = None,
    only: Collection[int] | None = None,
) -> Conversation | None:
    """Return a conversation, by id or by group address; None if there is none.

    Args:
        only: Load only these members of a group, which may have thousands.
    """
    c = conversations.c
    if group is None:
        where = c.id == id
    elif group.realm:
        where = and_(c.number == group.number, realms.c.key == fold(group.realm))
    else:
        where = and_(c.number == group.number, c.realm_id.is_(None))
    row = tx.execute(
        select(
            *(c.id, c.number, c.name, c.version, c.last_seq, c.last_time, c.realm_id),
            *(c.low_user, c.high_user, c.low_blocks, c.high_blocks, realms.c.name),
        )
        .select_from(conversations.outerjoin(realms, realms.c.id == c.realm_id))
        .where(where)
    ).first()
    if row is None:
        return None
    people = (
        select(
            *(members.c.user_id, users.address_of(), members.c.owner),
            *(user_table.c.realm_id, user_table.c.disabled),
        )
        .select_from(users.WITH_REALMS.join(members, members.c.user_id == user_table.c.id))
        .where(members.c.conversation_id == row.id)
        .order_by(members.c.place)
    )
    if only is not None and row.number is not None:
        people = people.where(members.c.user_id.in_(only))
    return Conversation(
        row.id,
        row.number,
        row.name or "",
        row.version,
        row.last_seq,
        {user_id: Member(*member) for user_id, *member in tx.execute(people)},
        row.realm_id,
        row[-1] or "",
        last_time=row.last_time,
        blockers=blockers(row.low_user, row.high_user, row.low_blocks, row.high_blocks),
    )


def reload(tx: Connection, cached: dict[int, Conversation]) -> dict[int, Conversation]:
    """Return cached conversations in their current state; one with a new version costs a query."""
    c = conversations.c
    rows = tx.execute(select(c.id, c.version, c.last_seq, c.last_time).where(c.id.in_(cached)))
    fresh: dict[int, Conversation] = {}
    for id, version, last_seq, last_time in rows:
        if version == cached[id].version:
            fresh[id] = replace(cached[id], last_seq=last_seq, last_time=last_time)
        else:
            now = load(tx, id=id)
            assert now is not None
            fresh[id] = now
    return fresh


def find(
    tx: Connection,
    user_id: int,
    target: ConversationAddress,
    only: Collection[int] | None = None,
) -> Conversation | None:
    """Return the conversation that a user addresses.

    Args:
        only: Load only these members of a group.

    Returns:
        None for a private chat without messages.

    Raises:
        ChatError: UNKNOWN_USER; UNKNOWN_GROUP, also if the user is not in the group.
    """
    if isinstance(target, GroupAddress):
        return group(tx, user_id, target, only)
    other = users.known(tx, target)
    found = None if other is None else between(tx, user_id, other.id)
    return None if found is None else load(tx, id=found)


def group(
    tx: Connection, user_id: int, address: GroupAddress, only: Collection[int] | None = None
) -> Conversation:
    """Return a group, for one of its members.

    Args:
        only: Load only these members, the user among them.

    Raises:
        ChatError: UNKNOWN_GROUP, also if the user is not in the group.
    """
    found = load(tx, group=address, only=only)
    if found is None or user_id not in found.members:
        raise unknown_group(address)
    return found


def known_as(tx: Connection, target: ConversationAddress) -> str:
    """Return a person's address, for a private chat without messages.

    Raises:
        ChatError: UNKNOWN_USER.
    """
    assert isinstance(target, Address)
    found = users.known(tx, target)
    return str(target) if found is None else found.name


def unknown_group(address: ConversationAddress) -> ChatError:
    """Return the refusal for a group that does not exist, or that the user is not in."""
    return ChatError(
        ErrorCode.UNKNOWN_GROUP, f"You are in no group {address}; listgroup shows yours"
    )


def not_owner(group: Conversation) -> ChatError:
    """Return the refusal for an action reserved to the group's owner."""
    return ChatError(ErrorCode.FORBIDDEN, f"Only the owner of {group.address(0)} may do this")


def between(tx: Connection, one: int, other: int) -> int | None:
    """Return the id of the private chat of two users; None if there is none."""
    return tx.scalar(
        select(conversations.c.id).where(
            conversations.c.low_user == min(one, other),
            conversations.c.high_user == max(one, other),
        )
    )


def new_row(tx: Connection, now: int) -> dict[str, Any]:
    """Return the initial values of a conversation's columns."""
    activity = timeline(tx).next_activity()
    return {"last_seq": 0, "version": 1, "created": now, "last_time": 0, "activity": activity}
