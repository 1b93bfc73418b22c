"""Groups that another realm hosts, as kept here for its members: read only, whole, in its order.

The host alone gives places, members and roles. What it says of a group's members counts only if it
is newer than what is known, by the version that rises with each change.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from ws_server.store.schema import members, messages, posts
from ws_server.store.timeline import timeline
from ws_server.store.users import User

AHEAD = 24 * 3600 * 1000
"""Milliseconds by which a host's clock may be ahead of this one."""
MAX_HOSTED = 2_000
"""Groups of one host that people here may be in; further ones are not taken note of."""


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
    bot: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a group, as its host says."""

    speaker: Speaker
    owner: bool
    joined: int
    """The seq after which he reads: what is written then is news to him, however late it is told
    that he is in it."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in a group, as its host says."""

    group: int
    name: str
    version: int
    last_seq: int
    members: Sequence[Member]
    """The oldest member first."""
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
    if group is None and not any(member.speaker.key == own_key for member in roster.members):
        return None
    if group is None and _hosted(tx, host) >= MAX_HOSTED:
        return None
    if group is None:
        made = tx.execute(
            insert(conversation_table).values(
                conversations.new_row(tx, now)
                | {
                    "realm_id": host.id,
                    "number": roster.group,
                    "name": roster.name,
                    "version": roster.version,
                }
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
        {"of": user_id, "owner": member.owner, "place": place}
        for place, (user_id, member) in enumerate(wanted.items())
    ]
    if kept := [row for row in placed if row["of"] in before]:
        tx.execute(update(members).where(this), kept)
    if new := [row for row in placed if row["of"] not in before]:
        marks = ("joined_seq", "read_seq", "received_seq")
        rows = [
            {"conversation_id": group_id, "user_id": of, **row}
            | dict.fromkeys(marks, min(wanted[of].joined, roster.last_seq))
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
) -> dict[int, Member]:
    """Return whom a roster names, as `person` would."""
    speakers = [member.speaker for member in roster.members]
    own = [s.name for s in speakers if s.key == own_key]
    others = [_name_at(s) for s in speakers if s.key != own_key]
    here = users.ids_of_realm(tx, None, own, now)
    there = users.ids_of_realm(tx, host.id, others, now)
    wanted: dict[int, Member] = {}
    for member in roster.members:
        if member.speaker.key == own_key:
            user_id = here.get(fold(member.speaker.name))
        else:
            user_id = there[fold(_name_at(member.speaker))]
        if user_id is not None:
            wanted[user_id] = member
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
    moved: dict[int, None] = {}
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
            group.last_seq, group.last_time = message.seq, draft.time
            moved.pop(message.group, None)
            moved[message.group] = None  # the one of the last message last
        taken.stopped = at + 1
    for number in moved:
        stored = groups[number]
        assert stored is not None
        tx.execute(
            update(conversation_table)
            .where(conversation_table.c.id == stored.id)
            .values(
                last_seq=stored.last_seq,
                last_time=stored.last_time,
                activity=timeline(tx).next_activity(),
            )
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
    time = timeline(tx).time_after(group.id, group.last_time, min(message.time, now + AHEAD))
    post = _take_post(tx, message.id, group, sender) if posted else None
    key, file_id, bot = post or (None, None, message.bot)
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
            bot=bot,
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
        bot=bot,
    )


def _take_post(
    tx: Connection, id: str, group: Conversation, sender: User
) -> tuple[str | None, str | None, bool] | None:
    """Forget a post that has its place now, and return its idempotency key, its file's id, and
    whether a program wrote it.

    Only if this very person posted it to this very group: a host may name any id. Otherwise None.
    """
    this = and_(
        posts.c.id == id, posts.c.conversation_id == group.id, posts.c.sender_id == sender.id
    )
    p = posts.c
    found = tx.execute(select(p.idempotency_key, p.file_id, p.bot).where(this)).first()
    tx.execute(delete(posts).where(this))
    return (found.idempotency_key, found.file_id, found.bot) if found else None
