"""Writing messages in bulk: the journal's hot path."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Hashable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, ConversationAddress
from ws_server.store import content_fetches, conversations, files, outbox, outbox_queries
from ws_server.store.bulk import (
    MESSAGE,
    Move,
    find_keys,
    find_posts,
    insert,
    move_conversations,
)
from ws_server.store.conversations import Conversation
from ws_server.store.disabled_accounts import check_sender
from ws_server.store.files import StoredFile
from ws_server.store.ids import new_id
from ws_server.store.recipients import Place, open_all
from ws_server.store.timeline import timeline


class Stale(Exception):
    """A cached conversation was not what the database holds; the batch is written again."""


@dataclass(slots=True)
class Chain:
    """Entries of which none may be written once one could not be, so that their order holds."""

    broken: bool = False

    def check(self) -> None:
        """Refuse what comes behind one that could not be written.

        Raises:
            ChatError: UNAVAILABLE.
        """
        if self.broken:
            raise ChatError(ErrorCode.UNAVAILABLE, "What came before this could not be stored")


@dataclass(slots=True, eq=False)
class Draft:
    """A message on its way to disk. The journal fills in what the commit decides."""

    sender: int
    target: ConversationAddress
    text: str = ""
    file: StoredFile | None = None
    key: str | None = None
    quota: int = 0
    """Bytes that all files of the sender, or of its realm, may have together, if it carries one."""
    source: int | None = None
    """The other realm that has the content of its file."""
    awaited: bool = False
    """The content is not here yet."""
    stored: int = 0
    """Bytes of content that were stored for this message alone."""
    upload: str | None = None
    """The upload whose file this is; it ends with the commit."""
    bot: bool = False
    """A program wrote it."""

    cached: Conversation | None = None
    """The conversation from the cache; checked by the commit, looked up by it if None."""
    conversation: Conversation | None = None
    id: str = ""
    """Given by the realm in which it was written: the commit here, unless it is another one."""
    origin_seq: int | None = None
    """Its seq in the sender's own realm, if that is another one."""
    chain: Chain | None = None
    outgoing: list[tuple[int, int]] = field(default_factory=list)
    """The realms it now waits for, each with its number in the outbox."""
    seq: int = 0
    time: int = 0
    state: str = "stored"
    is_post: bool = False
    """Written here for another realm's group, and given its place by the host."""
    newcomers: Collection[int] = ()
    """Members who joined behind it, for whom it is history and no news."""
    sender_name: str = ""
    """The sender's address, if he need not be a member any more."""
    duplicate: bool = False
    error: ChatError | None = None
    origin: Any = None
    """Whoever posted it, for `done`; the journal does not look at it."""
    done: Callable[[Any], None] | None = None
    payer: Hashable = None
    """The network that pays for the time it takes; None if nobody does."""


@dataclass(slots=True)
class Progress:
    """What a transaction has done to conversations so far."""

    moved: dict[int, tuple[Conversation, int, int]] = field(default_factory=dict)
    """Those with new messages, by id, with the last seq and time that they have inside it."""
    found: dict[int, Conversation] = field(default_factory=dict)
    """Those that were looked up in it, by id; for the cache, once it is on disk."""
    entries: int = 0
    """How many of its entries it had time for."""


def write(
    tx: Connection,
    drafts: list[Draft],
    now: int,
    progress: Progress,
    reloaded: bool = False,
    secret: bytes = b"",
) -> None:
    """Write the drafts in their order and give each its seq; refusals go to `draft.error`.

    Args:
        now: What the wall clock shows, Unix milliseconds.
        progress: Of this transaction; brought up to date.
        reloaded: The copies of the drafts are what this transaction sees.
        secret: Marks the ids of posts for other realms' groups.

    Raises:
        Stale: a conversation changed since it was cached.
    """
    first_of = _repeated(tx, drafts)
    opened = _open(tx, drafts, first_of, now)
    moved, found = progress.moved, progress.found
    steps: dict[int, Move] = {}
    rows: list[tuple[object, ...]] = []
    repeats: list[tuple[Draft, Draft]] = []
    remote: list[Draft] = []
    posted: list[Draft] = []
    line = timeline(tx)
    for draft in drafts:
        draft.error = None
        draft.duplicate = False
        draft.outgoing = []
        if (
            draft.key is not None
            and (first := first_of.setdefault((draft.sender, draft.key), draft)) is not draft
        ):
            _set_aside(tx, draft, first, repeats)
            continue
        try:
            if draft.chain is not None:
                draft.chain.check()
            conversation = draft.cached or _meant(tx, draft, opened, now)
            check_sender(conversation, draft.sender, draft.target)
            if draft.cached is None:
                # No refusal comes from the cache: no commit would prove that it still holds.
                found[conversation.id] = conversation
            if draft.file is not None:
                _keep_file(tx, draft, draft.file, conversation.id, now)
        except ChatError as error:
            _refuse(draft, error, first_of)
            continue
        draft.conversation = conversation
        if conversation.realm_id is not None:
            draft.time = now
            posted.append(draft)
            continue
        id = conversation.id
        if (step := steps.get(id)) is not None:
            _, version, old, last, last_time, _ = step
            # The commit checks one version a conversation, so all copies must be of that one.
            if version != conversation.version:
                raise Stale
        elif id in moved and draft.cached is not None and not reloaded:
            _, last, last_time = moved[id]  # by an earlier run of this batch; the copy is behind
            old = last
        else:
            old = last = conversation.last_seq
            last_time = conversation.last_time
        draft.id = draft.id or new_id("m")
        draft.seq = last + 1
        draft.time = line.time_after(id, last_time, now)
        moved[id] = (conversation, draft.seq, draft.time)
        steps[id] = (
            *(id, conversation.version, old, draft.seq),
            *(draft.time, line.next_activity()),
        )
        file_id = draft.file.id if draft.file else None
        rows.append(
            (
                *(id, draft.seq, draft.id, draft.sender, draft.time, draft.text, file_id),
                *(draft.key, draft.origin_seq, draft.bot),
            )
        )
        if conversation.realms:
            remote.append(draft)
    _store(tx, list(steps.values()), rows)
    _queue(tx, remote, posted, now, secret)
    _answer_repeats(repeats)


def _store(tx: Connection, steps: list[Move], rows: list[tuple[object, ...]]) -> None:
    if not move_conversations(tx, steps):
        raise Stale
    insert(tx, MESSAGE, rows)


def _queue(
    tx: Connection, remote: list[Draft], posted: list[Draft], now: int, secret: bytes
) -> None:
    """Let messages wait for the other realms that are to have them."""
    if remote:
        outbox.add_messages(tx, remote, now)
    if posted:
        outbox.add_posts(tx, posted, now, secret)


def _refuse(draft: Draft, error: ChatError, first_of: dict[tuple[int, str], Draft]) -> None:
    draft.error = error.with_traceback(None)
    if draft.key is not None:
        del first_of[draft.sender, draft.key]


def _set_aside(
    tx: Connection, draft: Draft, first: Draft, repeats: list[tuple[Draft, Draft]]
) -> None:
    """Note a repeated draft, whose result is known when that of the first is."""
    repeats.append((draft, first))
    if draft.upload is not None:
        files.end_upload(tx, draft.upload)


def _keep_file(
    tx: Connection, draft: Draft, file: StoredFile, conversation_id: int, now: int
) -> None:
    sender, quota = draft.sender, draft.quota
    if draft.source is None:
        files.add(tx, file, conversation_id, sender, draft.upload, quota)
    else:
        draft.awaited = content_fetches.keep(
            tx, file, conversation_id, sender, draft.source, quota, now
        )


def reload(tx: Connection, drafts: list[Draft], progress: Progress) -> None:
    """Replace the cached conversations of drafts by what this transaction sees."""
    cached = {d.cached.id: d.cached for d in drafts if d.cached is not None}
    fresh = conversations.reload(tx, cached)
    progress.found |= fresh
    for draft in drafts:
        if draft.cached is not None:
            draft.cached = fresh[draft.cached.id]


def _open(
    tx: Connection, drafts: list[Draft], first_of: Container[tuple[int, str]], now: int
) -> dict[Place, Conversation | ChatError]:
    """Look up in a few statements what the drafts mean that are not cached nor repeated."""
    # In their order: of people of other realms, the first to write to them says the spelling.
    wanted = dict.fromkeys(
        (draft.sender, draft.target)
        for draft in drafts
        if draft.cached is None
        and (draft.key is None or (draft.sender, draft.key) not in first_of)
        and (draft.chain is None or not draft.chain.broken)
    )
    return open_all(tx, wanted, now) if wanted else {}


def _meant(
    tx: Connection, draft: Draft, opened: dict[Place, Conversation | ChatError], now: int
) -> Conversation:
    place = (draft.sender, draft.target)
    if place not in opened:
        # It repeated a draft of this batch which then was refused.
        opened |= open_all(tx, [place], now)
    meant = opened[place]
    if isinstance(meant, ChatError):
        raise meant
    return meant


def _repeated(tx: Connection, drafts: list[Draft]) -> dict[tuple[int, str], Draft]:
    """Return what was written before under the drafts' idempotency keys."""
    # Each once, however often it is repeated here.
    keys = list(dict.fromkeys((d.sender, d.key) for d in drafts if d.key is not None))
    first: dict[tuple[int, str], Draft] = {}
    for sender, key, conversation_id, id, seq, time_, file_id in find_keys(tx, keys):
        conversation = conversations.load(tx, id=conversation_id, only=(sender,))
        assert conversation is not None
        state = outbox_queries.state_of(tx, conversation, seq)
        file = files.get(tx, file_id) if file_id else None
        first[sender, key] = _done_before(sender, conversation, file, id, time_, state, seq)
    # Those of other realms' people never wait for a host: their own realm keeps them.
    own = list(
        dict.fromkeys((d.sender, d.key) for d in drafts if d.key is not None and d.chain is None)
    )
    return first | _repeated_posts(tx, own) if own else first


def _repeated_posts(tx: Connection, keys: list[tuple[int, str]]) -> dict[tuple[int, str], Draft]:
    """Return what waits for the host of its group, and so has no place yet."""
    first: dict[tuple[int, str], Draft] = {}
    for sender, key, conversation_id, id, time_, refused, file_id in find_posts(tx, keys):
        conversation = conversations.load(tx, id=conversation_id, only=(sender,))
        assert conversation is not None
        state = outbox.QUEUED if refused is None else outbox.REFUSED
        file = files.get(tx, file_id) if file_id else None
        first[sender, key] = _done_before(sender, conversation, file, id, time_, state)
    return first


def _done_before(
    sender: int,
    conversation: Conversation,
    file: StoredFile | None,
    id: str,
    time: int,
    state: str,
    seq: int = 0,
) -> Draft:
    """Return what became of a message that was written before."""
    draft = Draft(sender, Address(""), file=file, conversation=conversation)
    draft.id, draft.seq, draft.time, draft.state = id, seq, time, state
    return draft


def _answer_repeats(repeats: list[tuple[Draft, Draft]]) -> None:
    """Give each repeated draft the result of the first."""
    for draft, first in repeats:
        draft.duplicate = True
        if draft.file and first.file and draft.file.sha256 == first.file.sha256:
            draft.stored = 0  # for the first one already
        draft.conversation = first.conversation
        draft.file = first.file
        draft.state = first.state
        draft.id, draft.seq, draft.time = first.id, first.seq, first.time
