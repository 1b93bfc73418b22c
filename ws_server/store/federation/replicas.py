"""Groups that another realm hosts, as kept here for its members: read only, whole, in its order.

The host alone gives places, members and roles. What it says of a group's members counts only if it
is newer than what is known, by the version that rises with each change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, delete, select, update

from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.accounts.users import User
from ws_server.store.contents import content_fetches
from ws_server.store.contents.content_fetches import FileBounds
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import StoredMessage
from ws_server.store.engines import bulk
from ws_server.store.federation.authorship import Own, Post, Waiting, posted, present
from ws_server.store.federation.outbox import DELIVERED
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.message_content import MessageContent
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import members, messages, posts
from ws_server.store.timeline import timeline

AHEAD = 24 * 3600 * 1000
"""Milliseconds by which a host's clock may be ahead of this one."""


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
    content: MessageContent


def find(tx: Connection, host: KnownRealm, number: int) -> Conversation | None:
    """Return a group of a host."""
    c = conversation_table.c
    found = tx.scalar(select(c.id).where(c.realm_id == host.id, c.number == number))
    return None if found is None else conversations.load(tx, id=found)


def person(tx: Connection, host: KnownRealm, who: Speaker, own_key: bytes, now: int) -> User | None:
    """Return whom a host means; None for somebody of this realm who has no account."""
    if who.key == own_key:
        return users.find(tx, who.name)
    return users.of_realm(tx, host.id, name_at(who), now)


def name_at(who: Speaker) -> str:
    # Of a third realm: shown by the name the host uses, as a person known through it.
    return f"{who.name}@{who.realm}" if who.key else who.name


@dataclass(slots=True)
class Taken:
    """What came of relayed messages."""

    messages: list[StoredMessage] = field(default_factory=list)
    """Those that are new here."""
    moved: dict[int, Conversation] = field(default_factory=dict)
    """Their groups by number, the one with the newest message last."""
    gap: tuple[Conversation, int] | None = None
    """The group, and the seq before which something is missing; nothing from there on was taken."""
    stopped: int = 0
    """How many of the messages were dealt with."""
    unknown: list[int] = field(default_factory=list)
    """Which of them are for groups that are not known here."""


def store_relayed(
    tx: Connection,
    host: KnownRealm,
    relayed: Sequence[Relayed],
    own: Own,
    room: FileBounds,
    now: int,
) -> Taken:
    """Store messages of a host's groups in its order, up to the first gap.

    One in the name of a person here counts as theirs only if they posted it. Any
    other keeps its place as one of somebody whom the host calls so.

    Args:
        own: This realm.
        room: What this realm keeps of the host's files; what is larger is shown and not fetched.
    """
    groups: dict[int, Conversation | None] = {}
    people: dict[Speaker, User | None] = {}
    joined: dict[int, dict[int, int]] = {}
    ids = [message.id for message in relayed]
    waiting = posted(tx, ids)
    there: dict[int, set[str]] = {}
    taken = Taken()
    moved = taken.moved
    for at, message in enumerate(relayed):
        if message.group not in groups:
            groups[message.group] = _read_here(find(tx, host, message.group))
        group = groups[message.group]
        taken.stopped = at
        if group is None:
            taken.unknown.append(at)
        elif message.seq > group.last_seq + 1:
            taken.gap = (group, message.seq)
            break
        elif message.seq == group.last_seq + 1:
            if message.sender not in people:
                people[message.sender] = person(tx, host, message.sender, own.key, now)
            if group.id not in joined:
                joined[group.id] = _joined_behind(tx, group)
            sender, post = people[message.sender], None
            if sender is not None and message.sender.key == own.key:
                post = waiting.pop((message.id, group.id, sender.id), None)
                if post is None and not _has_proof(message, sender, host, own):
                    sender = None
                elif post is None:
                    # Written here before a backup that was restored, unless the host repeats it.
                    if group.id not in there:
                        there[group.id] = present(tx, group.id, ids)
                    sender = None if message.id in there[group.id] else sender
                    there[group.id].add(message.id)
            sent = min(message.time, now + AHEAD)
            time = timeline(tx).time_after(group.id, group.last_time, sent)
            stored = _store(tx, group, message, time, sender, host, post, room, now)
            stored.newcomers = [id for id, at in joined[group.id].items() if at >= message.seq]
            taken.messages.append(stored)
            group.last_seq, group.last_time = stored.seq, stored.time
            moved.pop(message.group, None)
            moved[message.group] = group  # the one of the last message last
        taken.stopped = at + 1
    _keep_positions(tx, moved.values())
    return taken


def store_missing(
    tx: Connection,
    host: KnownRealm,
    group_id: int,
    relayed: Sequence[Relayed],
    own: Own,
    room: FileBounds,
    now: int,
) -> None:
    """Store messages of a group that were left out, as nobody here was to read them.

    They are history to all, and no news to anybody.
    """
    group = _read_here(conversations.load(tx, id=group_id))
    if group is None:
        return
    m = messages.c
    seqs = [message.seq for message in relayed]
    there = set(tx.scalars(select(m.seq).where(m.conversation_id == group.id, m.seq.in_(seqs))))
    for message in relayed:
        if message.seq not in there:
            sender = person(tx, host, message.sender, own.key, now)
            is_own = sender is not None and message.sender.key == own.key
            if is_own and sender is not None and not _has_proof(message, sender, host, own):
                sender = None
            time = min(message.time, now + AHEAD, group.last_time or now)
            _store(tx, group, message, time, sender, host, None, room, now)


def _keep_positions(tx: Connection, groups: Iterable[Conversation]) -> None:
    """Keep how far groups are, the one with the newest message last."""
    for group in groups:
        tx.execute(
            update(conversation_table)
            .where(conversation_table.c.id == group.id)
            .values(
                last_seq=group.last_seq,
                last_time=group.last_time,
                activity=timeline(tx).next_activity(),
            )
        )


def _read_here(group: Conversation | None) -> Conversation | None:
    """Return a group if somebody of this realm is in it: of no other one is anything stored."""
    here = group is not None and any(m.realm_id is None for m in group.members.values())
    return group if here else None


def _joined_behind(tx: Connection, group: Conversation) -> dict[int, int]:
    """Return the members who joined at a seq that is missing here, by user id."""
    m = members.c
    found = tx.execute(
        select(m.user_id, m.joined_seq).where(
            m.conversation_id == group.id, m.joined_seq > group.last_seq
        )
    )
    return {user_id: seq for user_id, seq in found}  # noqa: C416 - rows are no pairs to mypy


def _has_proof(message: Relayed, sender: User, host: KnownRealm, own: Own) -> bool:
    """Tell whether the id of a message proves that the person posted it in this group."""
    post = Post(host.public_key, message.group, sender.name, message.content.proof)
    return post.has_id(own.secret, message.id)


def _store(
    tx: Connection,
    group: Conversation,
    message: Relayed,
    time: int,
    sender: User | None,
    host: KnownRealm,
    post: Waiting | None,
    room: FileBounds,
    now: int,
) -> StoredMessage:
    if sender is None:
        # Somebody of this realm who is gone, or did not write it; the message keeps its place.
        sender = users.of_realm(tx, host.id, message.sender.name, now)
    content, key, awaited = message.content, None, False
    if post is not None:
        # As it was written here, whatever the host says it is.
        content, key = post.content, post.key
        tx.execute(delete(posts).where(posts.c.id == message.id))
    elif content.file is not None:
        file, awaited = content_fetches.keep_replica(
            tx, content.file, group.id, sender.id, host.id, room, now
        )
        content = replace(content, file=file)
    row = (group.id, message.seq, message.id, sender.id, time, key, None, *content.values())
    bulk.insert(tx, bulk.MESSAGE, [row])
    return StoredMessage(
        group,
        sender.id,
        sender.name,
        group.address(sender.id),
        message.id,
        message.seq,
        time,
        content,
        DELIVERED,
        source=host.id,
        awaited=awaited,
        is_post=post is not None,
    )
