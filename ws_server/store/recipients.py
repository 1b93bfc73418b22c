"""Resolving the addresses that senders write to, many at once; new private chats begin here.

The journal calls this for all conversations of a batch that are not in the cache, so the number of
statements is small and constant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, Connection, String, and_, column, insert, literal_column, select

from shared.protocol.errors import ChatError
from shared.protocol.values import Address, ConversationAddress, GroupAddress, fold
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation, Member, blockers, unknown_group
from ws_server.store.engines import bulk
from ws_server.store.engines.adapter import Statement
from ws_server.store.federation import realms as known_realms
from ws_server.store.schema import conversations, members, realms
from ws_server.store.schema import users as user_table
from ws_server.store.timeline import timeline

SenderAndTarget = tuple[int, ConversationAddress]
"""The sender's user id, and the address they write to."""

_c, _m, _u = conversations.c, members.c, user_table.c
_STATE = (_c.id, _c.version, _c.last_seq, _c.last_time)
_CHAT = (*_STATE, _c.low_blocks, _c.high_blocks)
_GROUP = (*_STATE, _c.number, _c.name, _c.realm_id)

IDS = Statement(
    (column("key", String),),
    lambda given: (
        select(_u.key, _u.id, _u.name, _u.disabled)
        .select_from(given)
        .join(user_table, _u.key == given.c.key)
        .where(_u.realm_id.is_(None))
    ),
)
"""The users of this realm, by folded name."""
NAMES = Statement(
    (column("id", BigInteger),),
    lambda given: (
        select(_u.id, users.address_of(), literal_column("0"), _u.realm_id, _u.disabled)
        .select_from(given)
        .join(user_table, _u.id == given.c.id)
        .outerjoin(realms, realms.c.id == _u.realm_id)
    ),
)
"""The columns of a `Member`, by user id."""
CHATS = Statement(
    (column("low", BigInteger), column("high", BigInteger)),
    lambda given: (
        select(_c.low_user, _c.high_user, *_CHAT)
        .select_from(given)
        .join(conversations, and_(_c.low_user == given.c.low, _c.high_user == given.c.high))
    ),
)
"""The private chats of pairs of users."""
BEGIN = Statement(
    tuple(column(name, BigInteger) for name in ("low", "high", "created", "activity")),
    lambda given: (
        insert(conversations)
        .from_select(
            [_c.low_user, _c.high_user, _c.created, _c.activity, _c.version, _c.last_seq],
            select(*given.c, literal_column("1"), literal_column("0")),
        )
        .returning(_c.low_user, _c.high_user, *_CHAT)
    ),
)
"""Inserts private chats; returns the columns of `CHATS`."""
GROUPS = Statement(
    (column("sender", BigInteger), column("number", BigInteger)),
    lambda given: (
        select(given.c.sender, *_GROUP, literal_column("''"))
        .select_from(given)
        .join(conversations, and_(_c.number == given.c.number, _c.realm_id.is_(None)))
        .join(members, and_(_m.conversation_id == _c.id, _m.user_id == given.c.sender))
    ),
)
"""The groups of this realm that senders are members of."""
GROUPS_ELSEWHERE = Statement(
    (column("sender", BigInteger), column("number", BigInteger), column("realm", String)),
    lambda given: (
        select(given.c.sender, *_GROUP, realms.c.name)
        .select_from(given)
        .join(realms, realms.c.key == given.c.realm)
        .join(conversations, and_(_c.realm_id == realms.c.id, _c.number == given.c.number))
        .join(members, and_(_m.conversation_id == _c.id, _m.user_id == given.c.sender))
    ),
)
"""The groups of other realms that senders are members of."""
MEMBERS = Statement(
    (column("conversation", BigInteger),),
    lambda given: (
        select(
            *(_m.conversation_id, _m.place, _m.user_id),
            *(users.address_of(), _m.owner, _u.realm_id, _u.disabled),
        )
        .select_from(given)
        .join(members, _m.conversation_id == given.c.conversation)
        .join(user_table, _u.id == _m.user_id)
        .outerjoin(realms, realms.c.id == _u.realm_id)
    ),
)
"""The members of groups."""
NEW_MEMBER = (
    *(_m.conversation_id, _m.user_id, _m.owner, _m.place),
    *(_m.joined_seq, _m.read_seq, _m.received_seq),
)


def get_ready(tx: Connection) -> None:
    """Compile the statements of the first messages, which would otherwise wait up to 20 ms."""
    bulk.get_ready(tx, (IDS, NAMES, CHATS, BEGIN, GROUPS, MEMBERS), (NEW_MEMBER,))


def open_all(
    tx: Connection, wanted: Collection[SenderAndTarget], now: int
) -> dict[SenderAndTarget, Conversation | ChatError]:
    """Return the conversation for each sender and address; missing private chats are created.

    Returns:
        A conversation or a refusal for each: UNKNOWN_USER; UNKNOWN_REALM; FORBIDDEN, the
        account is disabled or nothing may be sent to that realm; UNKNOWN_GROUP, also if the
        sender is not in the group.
    """
    private = [(sender, target) for sender, target in wanted if isinstance(target, Address)]
    groups = [(sender, target) for sender, target in wanted if isinstance(target, GroupAddress)]
    return {**_private(tx, private, now), **_groups(tx, groups)}


def _private(
    tx: Connection, wanted: Collection[tuple[int, Address]], now: int
) -> dict[SenderAndTarget, Conversation | ChatError]:
    found: dict[SenderAndTarget, Conversation | ChatError] = {}
    people = _people(tx, dict.fromkeys(target for _, target in wanted), now)
    pairs: dict[tuple[int, Address], tuple[int, int]] = {}
    for one in wanted:
        sender, target = one
        other = people[target]
        if isinstance(other, ChatError):
            found[one] = other
        else:
            pairs[one] = (min(sender, other), max(sender, other))
    chats = open_private(tx, set(pairs.values()), now)
    return found | {one: chats[pair] for one, pair in pairs.items()}


def _people(
    tx: Connection, targets: Collection[Address], now: int
) -> dict[Address, int | ChatError]:
    """Return the user id for each address; users of other realms are added on first mention."""
    found: dict[Address, int | ChatError] = {}
    here = [target for target in targets if not target.realm]
    keys = {fold(target.user) for target in here}
    known = {key: person for key, *person in bulk.ask(tx, IDS, [(key,) for key in keys])}
    for target in here:
        id, name, disabled = known.get(fold(target.user)) or (None, target.user, False)
        if id is None:
            found[target] = users.unknown_user(name)
        else:
            found[target] = users.is_disabled(name) if disabled else id
    for name in dict.fromkeys(target.realm for target in targets if target.realm):
        elsewhere = [target for target in targets if target.realm == name]
        try:
            realm = known_realms.existing(tx, name)
            known_realms.check_writable(realm)
        except ChatError as refusal:
            found |= dict.fromkeys(elsewhere, refusal)
            continue
        ids = users.ids_of_realm(tx, realm.id, [target.user for target in elsewhere], now)
        found |= {target: ids[fold(target.user)] for target in elsewhere}
    return found


def open_private(
    tx: Connection, pairs: Collection[tuple[int, int]], now: int
) -> dict[tuple[int, int], Conversation]:
    """Return the private chats of pairs of users, the lower id first; missing ones are created."""
    if not pairs:
        return {}
    rows = list(bulk.ask(tx, CHATS, list(pairs)))
    missing = sorted(set(pairs).difference((low, high) for low, high, *_ in rows))
    if missing:
        times = timeline(tx)
        new = [(low, high, now, times.next_activity()) for low, high in missing]
        begun = bulk.ask(tx, BEGIN, new)
        rows += begun
        bulk.insert(tx, NEW_MEMBER, [row for chat in begun for row in _member_rows(chat)])
    people = {(id,) for pair in pairs for id in pair}
    known = {id: _member(*columns) for id, *columns in _names(tx, people)}
    return {
        (low, high): Conversation(
            *(id, None, "", version, last_seq),
            members={person: known[person] for person in (low, high)},
            last_time=last_time,
            blockers=blockers(low, high, low_blocks, high_blocks),
        )
        for low, high, id, version, last_seq, last_time, low_blocks, high_blocks in rows
    }


def _names(tx: Connection, people: Collection[tuple[int]]) -> Iterable[Any]:
    return bulk.ask(tx, NAMES, list(people))


def _member(name: str, owner: int, realm_id: int | None, disabled: int) -> Member:
    return Member(name, bool(owner), realm_id, bool(disabled))


def _member_rows(chat: Any) -> list[tuple[object, ...]]:
    low, high, id, *_ = chat
    people = dict.fromkeys((low, high))  # one entry in a chat with oneself
    return [(id, person, False, place, 0, 0, 0) for place, person in enumerate(people)]


def _groups(
    tx: Connection, wanted: Collection[tuple[int, GroupAddress]]
) -> dict[SenderAndTarget, Conversation | ChatError]:
    here = [(sender, target.number) for sender, target in wanted if not target.realm]
    elsewhere = [(sender, t.number, fold(t.realm)) for sender, t in wanted if t.realm]
    rows = [*bulk.ask(tx, GROUPS, here), *bulk.ask(tx, GROUPS_ELSEWHERE, elsewhere)]
    inside = bulk.ask(tx, MEMBERS, list({(id,) for _, id, *_ in rows}))
    people = {
        id: {user: _member(*columns) for _, _, user, *columns in group}
        for id, group in groupby(sorted(inside, key=itemgetter(0, 1)), itemgetter(0))
    }
    groups: dict[int, Conversation] = {}
    resolved: dict[tuple[int, int, str], Conversation] = {}
    for sender, id, version, last_seq, last_time, number, name, realm_id, realm in rows:
        if id not in groups:
            groups[id] = Conversation(
                *(id, number, name or "", version, last_seq, people[id], realm_id, realm),
                last_time=last_time,
            )
        resolved[sender, number, fold(realm)] = groups[id]
    return {
        (sender, target): resolved.get((sender, target.number, fold(target.realm)))
        or unknown_group(target)
        for sender, target in wanted
    }
