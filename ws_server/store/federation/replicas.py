"""Replicas of groups that another realm hosts: read-only copies, complete, in the host's order.

The host alone assigns seqs, members and roles. A roster from the host is applied only if its
version, which rises with each change, is higher than the stored one.
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
"""Milliseconds by which a host's timestamps may be ahead of the local clock."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """A person as named by a host."""

    name: str
    realm: str = ""
    """The host's name for the person's realm; empty for the host's own users."""
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Relayed:
    """A group message as relayed by its host."""

    group: int
    seq: int
    id: str
    sender: Speaker
    time: int
    content: MessageContent


def find(tx: Connection, host: KnownRealm, number: int) -> Conversation | None:
    """Return the replica of a host's group, with all its members; None if it is unknown here."""
    c = conversation_table.c
    found = tx.scalar(select(c.id).where(c.realm_id == host.id, c.number == number))
    return None if found is None else conversations.load(tx, id=found)


def person(
    tx: Connection, host: KnownRealm, speaker: Speaker, own_key: bytes, now: int
) -> User | None:
    """Return the person that a host names; None for a name that has no account here.

    A person of another realm is added on first mention.
    """
    if speaker.key == own_key:
        return users.find(tx, speaker.name)
    return users.of_realm(tx, host.id, name_at(speaker), now)


def name_at(speaker: Speaker) -> str:
    # A user of a third realm is stored under the host's name for them, as a user of the host.
    return f"{speaker.name}@{speaker.realm}" if speaker.key else speaker.name


@dataclass(slots=True)
class RelayedResult:
    """The result of storing relayed messages."""

    messages: list[StoredMessage] = field(default_factory=list)
    """The messages that are new here."""
    moved: dict[int, Conversation] = field(default_factory=dict)
    """Their groups by number, ordered by their newest message."""
    gap: tuple[Conversation, int] | None = None
    """The group with missing messages, and the first seq after the gap. Storing stopped there."""
    stopped: int = 0
    """The number of messages processed."""
    unknown: list[int] = field(default_factory=list)
    """Indexes of the messages for groups unknown here."""


def store_relayed(
    tx: Connection,
    host: KnownRealm,
    relayed: Sequence[Relayed],
    own: Own,
    bounds: FileBounds,
    now: int,
) -> RelayedResult:
    """Store messages of a host's groups in the host's order, up to the first gap.

    A message in a local user's name is attributed to them only if they posted it. Otherwise it is
    stored at its seq, attributed to a user of that name in the host's realm.

    Args:
        own: This realm.
        bounds: Bounds of the host's files; a file above them is shown, and its content not fetched.
    """
    groups: dict[int, Conversation | None] = {}
    people: dict[Speaker, User | None] = {}
    joined: dict[int, dict[int, int]] = {}
    ids = [message.id for message in relayed]
    waiting = posted(tx, ids)
    in_group: dict[int, set[str]] = {}
    result = RelayedResult()
    moved = result.moved
    for index, message in enumerate(relayed):
        if message.group not in groups:
            groups[message.group] = _read_here(find(tx, host, message.group))
        group = groups[message.group]
        result.stopped = index
        if group is None:
            result.unknown.append(index)
        elif message.seq > group.last_seq + 1:
            result.gap = (group, message.seq)
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
                    # Posted here after the backup that was restored, unless the host repeats it.
                    if group.id not in in_group:
                        in_group[group.id] = present(tx, group.id, ids)
                    sender = None if message.id in in_group[group.id] else sender
                    in_group[group.id].add(message.id)
            sent = min(message.time, now + AHEAD)
            time = timeline(tx).time_after(group.id, group.last_time, sent)
            stored = _store(tx, group, message, time, sender, host, post, bounds, now)
            stored.newcomers = [
                id for id, joined_seq in joined[group.id].items() if joined_seq >= message.seq
            ]
            result.messages.append(stored)
            group.last_seq, group.last_time = stored.seq, stored.time
            moved.pop(message.group, None)
            moved[message.group] = group  # moved to the end
        result.stopped = index + 1
    _keep_positions(tx, moved.values())
    return result


def store_missing(
    tx: Connection,
    host: KnownRealm,
    group_id: int,
    relayed: Sequence[Relayed],
    own: Own,
    bounds: FileBounds,
    now: int,
) -> None:
    """Store earlier messages of a group, skipped while no local member could read them.

    They become part of the history; no member is notified.
    """
    group = _read_here(conversations.load(tx, id=group_id))
    if group is None:
        return
    m = messages.c
    seqs = [message.seq for message in relayed]
    stored = set(tx.scalars(select(m.seq).where(m.conversation_id == group.id, m.seq.in_(seqs))))
    for message in relayed:
        if message.seq not in stored:
            sender = person(tx, host, message.sender, own.key, now)
            is_own = sender is not None and message.sender.key == own.key
            if is_own and sender is not None and not _has_proof(message, sender, host, own):
                sender = None
            time = min(message.time, now + AHEAD, group.last_time or now)
            _store(tx, group, message, time, sender, host, None, bounds, now)


def _keep_positions(tx: Connection, groups: Iterable[Conversation]) -> None:
    """Persist the groups' last seqs and times, and their order by newest message."""
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
    """Return a group if it has a local member; messages of other groups are not stored."""
    here = group is not None and any(m.realm_id is None for m in group.members.values())
    return group if here else None


def _joined_behind(tx: Connection, group: Conversation) -> dict[int, int]:
    """Return the members who joined at a seq not yet stored here: joined seqs by user id."""
    m = members.c
    found = tx.execute(
        select(m.user_id, m.joined_seq).where(
            m.conversation_id == group.id, m.joined_seq > group.last_seq
        )
    )
    return {user_id: seq for user_id, seq in found}  # noqa: C416 - rows are no pairs to mypy


def _has_proof(message: Relayed, sender: User, host: KnownRealm, own: Own) -> bool:
    """Return whether the message id proves that the sender posted this content in this group."""
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
    bounds: FileBounds,
    now: int,
) -> StoredMessage:
    if sender is None:
        # A deleted local user, or a message they did not write: stored under the host's realm.
        sender = users.of_realm(tx, host.id, message.sender.name, now)
    content, key, awaited = message.content, None, False
    if post is not None:
        # The content as posted here takes precedence over the host's version.
        content, key = post.content, post.key
        tx.execute(delete(posts).where(posts.c.id == message.id))
    elif content.file is not None:
        file, awaited = content_fetches.keep_replica(
            tx, content.file, group.id, sender.id, host.id, bounds, now
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
