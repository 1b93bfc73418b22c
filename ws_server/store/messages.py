"""Writing messages in bulk: the journal's hot path."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError
from ws_server.store import conversations, message_content
from ws_server.store.accounts import users
from ws_server.store.accounts.disabled_accounts import check_sender
from ws_server.store.contents import content_fetches, files
from ws_server.store.contents.files import StoredFile
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import Draft, MessageEntry, StoredMessage
from ws_server.store.engines.bulk import (
    MESSAGE,
    Move,
    find_keys,
    find_posts,
    insert,
    move_conversations,
)
from ws_server.store.federation import outbox, outbox_queries
from ws_server.store.ids import new_id
from ws_server.store.recipients import SenderAndTarget, open_all
from ws_server.store.timeline import timeline


class Stale(Exception):
    """A cached conversation differs from the database; the batch is written again."""


@dataclass(slots=True)
class Progress:
    """The changes that a transaction has made to conversations so far."""

    moved: dict[int, tuple[Conversation, int, int]] = field(default_factory=dict)
    """Conversations with new messages, by id, with the resulting last seq and time."""
    found: dict[int, Conversation] = field(default_factory=dict)
    """Conversations looked up by the transaction, by id; cached after the commit."""
    entries: int = 0
    """Entries of the batch that were written."""


First = MessageEntry | StoredMessage
"""The first message under a key: in the same batch, or stored earlier."""


def write(
    tx: Connection,
    entries: list[MessageEntry],
    now: int,
    progress: Progress,
    reloaded: bool = False,
    secret: bytes = b"",
) -> None:
    """Write drafts in their order, and set `message` or `error` of each entry.

    Args:
        now: The wall clock, Unix milliseconds.
        progress: The progress of this transaction; updated.
        reloaded: `reload` was called for these entries in this transaction.
        secret: Signs the ids of posts for other realms' groups.

    Raises:
        Stale: a conversation changed since it was cached.
    """
    first_of = _repeated(tx, entries)
    opened = _open(tx, entries, first_of, now)
    moved, found = progress.moved, progress.found
    steps: dict[int, Move] = {}
    rows: list[tuple[object, ...]] = []
    repeats: list[tuple[MessageEntry, First]] = []
    remote: list[StoredMessage] = []
    posted: list[MessageEntry] = []
    times = timeline(tx)
    for entry in entries:
        draft = entry.draft
        sender, key = draft.sender, draft.key
        if key is not None and (first := first_of.setdefault((sender, key), entry)) is not entry:
            _set_aside(tx, entry, first, repeats)
            continue
        content, awaited = draft.content, False
        try:
            if entry.chain is not None:
                entry.chain.check()
            conversation = entry.cached or _meant(tx, draft, opened, now)
            check_sender(conversation, sender, draft.target)
            if entry.cached is None:
                # Refused entries are never cached: no commit would check the copy they rest on.
                found[conversation.id] = conversation
            if content.file is not None:
                awaited = _keep_file(tx, draft, content.file, conversation.id, now)
        except ChatError as error:
            _refuse(entry, error, first_of)
            continue
        if conversation.realm_id is not None:
            entry.message = _post(conversation, draft, now)
            posted.append(entry)
            continue
        conversation_id = conversation.id
        if (step := steps.get(conversation_id)) is not None:
            _, version, old, last, last_time, _ = step
            # The commit checks one version per conversation, so all copies must have that version.
            if version != conversation.version:
                raise Stale
            time = times.time_at_once(last_time, now)
        elif conversation_id in moved and entry.cached is not None and not reloaded:
            # Moved by an earlier run of this batch, so the copy is behind.
            _, last, last_time = moved[conversation_id]
            old = last
            time = times.time_after(conversation_id, last_time, now)
        else:
            old = last = conversation.last_seq
            time = times.time_after(conversation_id, conversation.last_time, now)
        seq = last + 1
        source = draft.source
        id = new_id("m") if source is None else source.id
        moved[conversation_id] = (conversation, seq, time)
        steps[conversation_id] = (
            conversation_id,
            conversation.version,
            old,
            seq,
            time,
            times.next_activity(),
        )
        origin_seq = None if source is None else source.seq
        row = (conversation_id, seq, id, sender, time, key, origin_seq)
        rows.append(row + content.values())
        entry.message = StoredMessage(
            conversation,
            sender,
            conversation.members[sender].name,
            conversation.address(sender),
            id,
            seq,
            time,
            content,
            outbox.STORED,
            None if source is None else source.realm_id,
            awaited,
        )
        if conversation.realms:
            remote.append(entry.message)
    _store(tx, list(steps.values()), rows)
    _queue(tx, remote, posted, now, secret)
    _answer_repeats(repeats)


def _post(group: Conversation, draft: Draft, now: int) -> StoredMessage:
    """Return a message for another realm's group, as `outbox.add_posts` expects it."""
    sender = draft.sender
    return StoredMessage(
        group,
        sender,
        group.members[sender].name,
        group.address(sender),
        id="",
        seq=0,
        time=now,
        content=draft.content,
        state=outbox.QUEUED,
    )


def _store(tx: Connection, steps: list[Move], rows: list[tuple[object, ...]]) -> None:
    if not move_conversations(tx, steps):
        raise Stale
    insert(tx, MESSAGE, rows)


def _queue(
    tx: Connection,
    remote: list[StoredMessage],
    posted: list[MessageEntry],
    now: int,
    secret: bytes,
) -> None:
    """Enqueue messages for the other realms that receive them."""
    if remote:
        outbox.add_messages(tx, remote, now)
    if posted:
        outbox.add_posts(tx, posted, now, secret)


def _refuse(entry: MessageEntry, error: ChatError, first_of: dict[tuple[int, str], First]) -> None:
    entry.error = error.with_traceback(None)
    if entry.draft.key is not None:
        del first_of[entry.draft.sender, entry.draft.key]


def _set_aside(
    tx: Connection, entry: MessageEntry, first: First, repeats: list[tuple[MessageEntry, First]]
) -> None:
    """Defer a repeated draft until the result of the first is known, and delete its upload."""
    repeats.append((entry, first))
    if (upload := entry.draft.storage.upload) is not None:
        files.end_upload(tx, upload)


def _keep_file(
    tx: Connection, draft: Draft, file: StoredFile, conversation_id: int, now: int
) -> bool:
    """Store the row of a draft's file; return whether its content is still to be fetched."""
    sender, quota = draft.sender, draft.storage.quota
    if draft.source is None:
        files.add(tx, file, conversation_id, sender, draft.storage.upload, quota)
        return False
    realm_id = draft.source.realm_id
    return content_fetches.add_file(tx, file, conversation_id, sender, realm_id, quota, now)


def reload(tx: Connection, entries: list[MessageEntry], progress: Progress) -> None:
    """Prepare entries for a second attempt, with conversations as this transaction sees them.

    The results of the attempt that was rolled back are discarded.
    """
    cached = {entry.cached.id: entry.cached for entry in entries if entry.cached is not None}
    fresh = conversations.reload(tx, cached)
    progress.found |= fresh
    for entry in entries:
        entry.error, entry.duplicate = None, False
        if entry.cached is not None:
            entry.cached = fresh[entry.cached.id]


def _open(
    tx: Connection, entries: list[MessageEntry], first_of: Container[tuple[int, str]], now: int
) -> dict[SenderAndTarget, Conversation | ChatError]:
    """Look up the conversations of drafts that are neither cached nor repeated."""
    # In their order: the first address written to a new user of another realm sets the spelling.
    wanted = dict.fromkeys(
        (entry.draft.sender, entry.draft.target)
        for entry in entries
        if entry.cached is None
        and (entry.draft.key is None or (entry.draft.sender, entry.draft.key) not in first_of)
        and (entry.chain is None or not entry.chain.broken)
    )
    return open_all(tx, wanted, now) if wanted else {}


def _meant(
    tx: Connection, draft: Draft, opened: dict[SenderAndTarget, Conversation | ChatError], now: int
) -> Conversation:
    place = (draft.sender, draft.target)
    if place not in opened:
        # The draft repeated another one of this batch, which was then refused.
        opened |= open_all(tx, [place], now)
    resolved = opened[place]
    if isinstance(resolved, ChatError):
        raise resolved
    return resolved


def _repeated(tx: Connection, entries: list[MessageEntry]) -> dict[tuple[int, str], First]:
    """Return the messages stored earlier under the drafts' idempotency keys."""
    first: dict[tuple[int, str], First] = {}
    # Posts are only of local users; those of other realms' users are stored in their own realm.
    # Each key once, however often a batch repeats it.
    keys: dict[tuple[int, str], None] = {}
    own: dict[tuple[int, str], None] = {}
    for entry in entries:
        draft = entry.draft
        if draft.key is not None:
            keys[draft.sender, draft.key] = None
            if draft.source is None:
                own[draft.sender, draft.key] = None
    for sender, key, conversation_id, seq, *columns in find_keys(tx, list(keys)):
        conversation = _written_in(tx, conversation_id, sender)
        state = outbox_queries.state_of(tx, conversation, seq)
        first[sender, key] = _written_before(tx, sender, conversation, seq, state, columns)
    for sender, key, conversation_id, refused, *columns in find_posts(tx, list(own)):
        conversation = _written_in(tx, conversation_id, sender)
        # Its seq is not assigned yet.
        state = outbox.QUEUED if refused is None else outbox.REFUSED
        first[sender, key] = _written_before(tx, sender, conversation, 0, state, columns)
    return first


def _written_in(tx: Connection, conversation_id: int, sender: int) -> Conversation:
    found = conversations.load(tx, id=conversation_id, only=(sender,))
    assert found is not None
    return found


def _written_before(
    tx: Connection,
    sender: int,
    conversation: Conversation,
    seq: int,
    state: str,
    columns: Sequence[Any],
) -> StoredMessage:
    """Return a message that was stored earlier.

    Args:
        columns: The last columns of `bulk.KEYED` or `bulk.POSTED`: id, time and content.
    """
    id, time, *content = columns
    member = conversation.members.get(sender)
    return StoredMessage(
        conversation,
        sender,
        users.address(tx, sender) if member is None else member.name,
        conversation.address(sender),
        id,
        seq,
        time,
        message_content.load(tx, *content),
        state,
    )


def _answer_repeats(repeats: list[tuple[MessageEntry, First]]) -> None:
    """Set the message of each repeated draft to that of the first."""
    for entry, first in repeats:
        entry.duplicate = True
        entry.message = first if isinstance(first, StoredMessage) else first.message
