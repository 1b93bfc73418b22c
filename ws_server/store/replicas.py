"""Groups that another realm hosts, as kept here for its members: read only, whole, in its order.

The host alone gives places, members and roles. What it says of a group's members counts only if it
is newer than what is known, by the version that rises with each change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update

from shared.protocol.values import Address, fold
from ws_server.store import conversations, fetches, files, users
from ws_server.store.conversations import Conversation
from ws_server.store.fetches import Room
from ws_server.store.files import StoredFile
from ws_server.store.messages import Draft
from ws_server.store.realms import KnownRealm
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import members, messages, outbox, posts
from ws_server.store.schema import users as user_table
from ws_server.store.users import User


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person as a host names him."""

    name: str
    realm: str = ""
    """What his realm is called by the host; empty for the host's own people."""
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A message of a group as its host relays it."""

    group: int
    seq: int
    id: str
    sender: Speaker
    time: int
    text: str
    file: StoredFile | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in a group, as its host says."""

    group: int
    name: str
    version: int
    last_seq: int
    members: Sequence[tuple[Speaker, bool]]
    """The oldest member first, each with whether he owns it."""
    change: str = ""
    """Why it is told: joined, left or removed."""


@dataclass(slots=True)
class Changed:
    """What a roster changed here."""

    group: Conversation
    joined: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    """Those to be told: the members before and after."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a group is."""

    group: int
    version: int
    last_seq: int


def positions(tx: Connection, host_id: int) -> dict[int, Position]:
    """Return how far the groups of a host are here that people of this realm are in, by number."""
    c, m = conversation_table.c, members.c
    inside = select(m.conversation_id).join(user_table, user_table.c.id == m.user_id)
    rows = tx.execute(
        select(c.number, c.version, c.last_seq)
        .where(c.realm_id == host_id)
        .where(c.id.in_(inside.where(user_table.c.realm_id.is_(None))))
    )
    return {number: Position(number, version, last) for number, version, last in rows}


def known_numbers(tx: Connection, host_id: int, numbers: Collection[int]) -> set[int]:
    """Return which of these groups of a host are known here."""
    c = conversation_table.c
    found = select(c.number).where(c.realm_id == host_id, c.number.in_(numbers))
    return set(tx.scalars(found))


def id_at(tx: Connection, host_id: int, number: int, seq: int) -> str | None:
    """Return the id of a group's message."""
    c = conversation_table.c
    return tx.scalar(
        select(messages.c.id)
        .join(conversation_table, c.id == messages.c.conversation_id)
        .where(c.realm_id == host_id, c.number == number, messages.c.seq == seq)
    )


def rewind(tx: Connection, host: KnownRealm, number: int, seq: int) -> None:
    """Forget what a group has behind a seq, and who is in it counts as older than any news.

    What people here have posted, and the host has not confirmed, waits for it again.
    """
    group = find(tx, host, number)
    if group is None:
        return
    m = messages.c
    waiting = select(outbox.c.body).where(
        outbox.c.realm_id == host.id, outbox.c.conversation_id == group.id, outbox.c.kind == "post"
    )
    tx.execute(
        insert(posts).from_select(
            ["id", "conversation_id", "sender_id", "time", "text", "file_id", "idempotency_key"],
            select(
                *(m.id, m.conversation_id, m.sender_id, m.time, m.text, m.file_id),
                m.idempotency_key,
            ).where(
                m.conversation_id == group.id,
                m.seq > seq,
                m.id.in_(waiting),
                m.sender_id.in_(select(user_table.c.id).where(user_table.c.realm_id.is_(None))),
            ),
        )
    )
    mine = members.c.conversation_id == group.id
    tx.execute(delete(messages).where(messages.c.conversation_id == group.id, messages.c.seq > seq))
    tx.execute(
        update(conversation_table)
        .where(conversation_table.c.id == group.id)
        .values(last_seq=min(group.last_seq, seq), version=0)
    )
    for mark in (members.c.joined_seq, members.c.read_seq, members.c.received_seq):
        tx.execute(update(members).where(mine, mark > seq).values({mark: seq}))


def abandon(tx: Connection, host: KnownRealm, here: Position) -> Changed | None:
    """Take this realm's people out of a group, unless it has changed since it was looked at.

    Its host may have lost it, and give its number to another group, which must not get what was
    written in this one. So this one is without a number of the host's from then on.
    """
    group = find(tx, host, here.group)
    if group is None or group.version != here.version:
        return None
    gone = [user_id for user_id, member in group.members.items() if member.realm_id is None]
    this = and_(members.c.conversation_id == group.id, members.c.user_id.in_(gone))
    tx.execute(delete(members).where(this))
    now_is = conversations.load(tx, id=group.id)
    assert now_is is not None
    c = conversation_table.c
    tx.execute(update(conversation_table).where(c.id == group.id).values(number=-group.id))
    return Changed(now_is, [], [group.members[id].name for id in gone], set(group.members))


AHEAD = 24 * 3600 * 1000
"""Milliseconds by which a host's clock may be ahead of this one."""
MAX_HOSTED = 2_000
"""Groups of one host that people here may be in; further ones are not taken note of."""
_APART = 1 << 40
"""Above all numbers of groups."""


def change_hosts(tx: Connection, one_id: int, other_id: int) -> None:
    """Let two realms that change keys change the groups they host: each belongs to a key.

    Who is in those that `one` then hosts counts as older than any news, for its people had the
    names of the other realm here.
    """
    c = conversation_table.c
    change = update(conversation_table)
    tx.execute(change.where(c.realm_id == one_id).values(number=c.number + _APART))
    tx.execute(change.where(c.realm_id == other_id).values(realm_id=one_id, version=0))
    moved = change.where(c.realm_id == one_id, c.number > _APART // 2)
    tx.execute(moved.values(realm_id=other_id, number=c.number - _APART))


def part(tx: Connection, host: KnownRealm, number: int, user_id: int) -> Conversation | None:
    """Take somebody of this realm out of a group whose host is gone; None if he is in no such."""
    group = find(tx, host, number)
    if group is None or user_id not in group.members:
        return None
    m = members.c
    tx.execute(delete(members).where(m.conversation_id == group.id, m.user_id == user_id))
    return group


def find(tx: Connection, host: KnownRealm, number: int) -> Conversation | None:
    """Return a group of a host."""
    c = conversation_table.c
    found = tx.scalar(select(c.id).where(c.realm_id == host.id, c.number == number))
    return None if found is None else conversations.load(tx, id=found)


def person(tx: Connection, host: KnownRealm, who: Speaker, own_key: bytes, now: int) -> User | None:
    """Return whom a host means; None for somebody of this realm who has no account."""
    if who.key == own_key:
        return users.find(tx, who.name)
    return users.of_realm(tx, host.id, _name_at(who), now)


def _name_at(who: Speaker) -> str:
    # Of a third realm: shown by the name the host uses, as a person known through it.
    return f"{who.name}@{who.realm}" if who.key else who.name


def enrol(
    tx: Connection, host: KnownRealm, roster: Roster, own_key: bytes, now: int
) -> Changed | None:
    """Make a group's members those that its host says; None if that is not news here."""
    group = find(tx, host, roster.group)
    if group is not None and group.version >= roster.version:
        return None
    if group is None and not any(speaker.key == own_key for speaker, _ in roster.members):
        return None
    if group is None and _hosted(tx, host) >= MAX_HOSTED:
        return None
    if group is None:
        made = tx.execute(
            insert(conversation_table).values(
                realm_id=host.id,
                number=roster.group,
                name=roster.name,
                last_seq=0,
                version=roster.version,
                created=now,
            )
        )
        assert made.inserted_primary_key is not None
        group_id, before = int(made.inserted_primary_key[0]), {}
    else:
        group_id, before = group.id, group.members
        tx.execute(
            update(conversation_table)
            .where(conversation_table.c.id == group_id)
            .values(version=roster.version, name=roster.name)
        )
    wanted = _people(tx, host, roster, own_key, now)
    gone = [user_id for user_id in before if user_id not in wanted]
    mine = members.c.conversation_id == group_id
    this = and_(mine, members.c.user_id == bindparam("of"))
    if gone:
        tx.execute(delete(members).where(this), [{"of": user_id} for user_id in gone])
    placed = [
        {"of": user_id, "owner": owner, "place": place}
        for place, (user_id, owner) in enumerate(wanted.items())
    ]
    if kept := [row for row in placed if row["of"] in before]:
        tx.execute(update(members).where(this), kept)
    seqs = dict.fromkeys(("joined_seq", "read_seq", "received_seq"), roster.last_seq)
    if new := [row for row in placed if row["of"] not in before]:
        rows = [
            {"conversation_id": group_id, "user_id": of, **row, **seqs}
            for of, row in ((row.pop("of"), row) for row in new)
        ]
        tx.execute(insert(members), rows)
    now_is = conversations.load(tx, id=group_id)
    assert now_is is not None
    joined = [user_id for user_id in wanted if user_id not in before]
    if group is None:
        # Those who were in it before are no news to whoever joins.
        joined = [user_id for user_id in joined if now_is.members[user_id].realm_id is None]
    return Changed(
        now_is,
        [now_is.members[user_id].name for user_id in joined],
        [before[user_id].name for user_id in gone],
        {*before, *wanted},
    )


def _hosted(tx: Connection, host: KnownRealm) -> int:
    """Return how many groups of a host are known here."""
    c = conversation_table.c
    return tx.scalar(select(func.count()).where(c.realm_id == host.id)) or 0


def _people(
    tx: Connection, host: KnownRealm, roster: Roster, own_key: bytes, now: int
) -> dict[int, bool]:
    """Return whom a roster names, as `person` would, each with whether he owns the group."""
    own = [s.name for s, _ in roster.members if s.key == own_key]
    others = [_name_at(s) for s, _ in roster.members if s.key != own_key]
    here = users.ids_of_realm(tx, None, own, now)
    there = users.ids_of_realm(tx, host.id, others, now)
    wanted: dict[int, bool] = {}
    for speaker, owner in roster.members:
        if speaker.key == own_key:
            user_id = here.get(fold(speaker.name))
        else:
            user_id = there[fold(_name_at(speaker))]
        if user_id is not None:
            wanted[user_id] = owner
    return wanted


@dataclass(slots=True)
class Taken:
    """What came of relayed messages."""

    drafts: list[Draft] = field(default_factory=list)
    """Those that are new here, as if written here."""
    gap: tuple[Conversation, int] | None = None
    """The group, and the seq before which something is missing; nothing from there on was taken."""
    stopped: int = 0
    """How many of the messages were dealt with."""
    unknown: list[int] = field(default_factory=list)
    """Which of them are for groups that are not known here."""


def take(
    tx: Connection,
    host: KnownRealm,
    relayed: Sequence[Relayed],
    own_key: bytes,
    room: Room,
    now: int,
) -> Taken:
    """Store messages of a host's groups in its order, up to the first gap.

    Args:
        room: What this realm keeps of the host's files; what is larger is shown and not fetched.
    """
    groups: dict[int, Conversation | None] = {}
    moved: set[int] = set()
    people: dict[Speaker, User | None] = {}
    joined: dict[int, dict[int, int]] = {}
    posted = set(tx.scalars(select(posts.c.id).where(posts.c.id.in_([m.id for m in relayed]))))
    taken = Taken()
    for at, message in enumerate(relayed):
        if message.group not in groups:
            groups[message.group] = find(tx, host, message.group)
        group = groups[message.group]
        taken.stopped = at
        if group is None:
            taken.unknown.append(at)
        elif message.seq > group.last_seq + 1:
            taken.gap = (group, message.seq)
            break
        elif message.seq == group.last_seq + 1:
            if message.sender not in people:
                people[message.sender] = person(tx, host, message.sender, own_key, now)
            if group.id not in joined:
                joined[group.id] = _joined_behind(tx, group)
            own = message.id in posted
            draft = _store(tx, group, message, people[message.sender], host, own, room, now)
            draft.newcomers = [id for id, at in joined[group.id].items() if at >= message.seq]
            taken.drafts.append(draft)
            group.last_seq = message.seq
            moved.add(message.group)
        taken.stopped = at + 1
    for number in moved:
        stored = groups[number]
        assert stored is not None
        tx.execute(
            update(conversation_table)
            .where(conversation_table.c.id == stored.id)
            .values(last_seq=stored.last_seq)
        )
    return taken


def _joined_behind(tx: Connection, group: Conversation) -> dict[int, int]:
    """Return the members who joined at a seq that is missing here, by user id."""
    m = members.c
    found = tx.execute(
        select(m.user_id, m.joined_seq).where(
            m.conversation_id == group.id, m.joined_seq > group.last_seq
        )
    )
    return {user_id: seq for user_id, seq in found}  # noqa: C416 - rows are no pairs to mypy


def _store(
    tx: Connection,
    group: Conversation,
    message: Relayed,
    sender: User | None,
    host: KnownRealm,
    posted: bool,
    room: Room,
    now: int,
) -> Draft:
    if sender is None:
        # Somebody of this realm who is gone; the message keeps its place.
        sender = users.of_realm(tx, host.id, message.sender.name, now)
    time = min(message.time, now + AHEAD)
    post = _take_post(tx, message.id, group, sender) if posted else None
    key, file_id = post or (None, None)
    file, awaited = message.file, False
    if file_id is not None:
        file = files.get(tx, file_id)
    elif file is not None:
        file, awaited = fetches.keep_replica(tx, file, group.id, sender.id, host.id, room, now)
    tx.execute(
        insert(messages).values(
            conversation_id=group.id,
            seq=message.seq,
            id=message.id,
            sender_id=sender.id,
            time=time,
            text=message.text,
            file_id=file.id if file else None,
            idempotency_key=key,
        )
    )
    return Draft(
        sender.id,
        Address(""),
        message.text,
        file,
        source=host.id,
        awaited=awaited,
        conversation=group,
        id=message.id,
        seq=message.seq,
        time=time,
        sender_name=sender.name,
        state="delivered",
        is_post=post is not None,
    )


def _take_post(
    tx: Connection, id: str, group: Conversation, sender: User
) -> tuple[str | None, str | None] | None:
    """Forget a post that has its place now, and return its idempotency key and its file's id.

    Only if this very person posted it to this very group: a host may name any id. Otherwise None.
    """
    this = and_(
        posts.c.id == id, posts.c.conversation_id == group.id, posts.c.sender_id == sender.id
    )
    found = tx.execute(select(posts.c.idempotency_key, posts.c.file_id).where(this)).first()
    tx.execute(delete(posts).where(this))
    return (found.idempotency_key, found.file_id) if found else None
