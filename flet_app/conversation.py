"""One conversation as the app knows it: its messages in order, and its markers.

Pure. Replies and events may arrive in any order and repeatedly; each message is held once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count

from shared.folding import begins, fold_text
from shared.protocol.commands.messages import FileInfo, Message
from shared.protocol.values import MAX_NUMBER

_NOTES = count()
_folded = lru_cache(maxsize=20_000)(fold_text)
"""Folded names that are cached, because each key typed into the filter compares them all."""
MAX_KEPT_MESSAGES = 2_000
"""Messages kept of the open conversation; older ones are fetched again when needed."""
MAX_KEPT_CLOSED_MESSAGES = 100
"""The same while another conversation is open."""

WAITING, STORED, QUEUED, DELIVERED, READ, REFUSED = FATES = (
    *("waiting", "stored", "queued"),
    *("delivered", "read", "refused"),
)
"""The states of an own message. It is `waiting` until the realm has answered."""


@dataclass(slots=True, eq=False)
class BubbleEntry:
    """One bubble: a message, an unsent message, or a note by the app."""

    key: str
    """Unique in the conversation; stays the same when the message gets its `seq`."""
    sender: str
    text: str
    time: int
    """Unix milliseconds."""
    seq: int | None = None
    """The realm's number of the message; None while there is none."""
    id: str = ""
    file: FileInfo | None = None
    state: str | None = None
    """One of FATES for an own message; None for other people's."""
    why: str = ""
    """The reason of a refusal, in words."""
    done: float | None = None
    """Progress of the file's transfer, 0 to 1; None without a transfer."""
    note: tuple[str, ...] = ()
    """The lines of a note by the app, in place of a message."""
    behind: int = 0
    """The `seq` behind which a note or a refused message stands."""

    @property
    def place(self) -> int:
        """The sort key of the entry; entries without a `seq` come last."""
        if self.note or (self.seq is None and self.state == REFUSED):
            return self.behind
        return MAX_NUMBER if self.seq is None else self.seq


def entry_of(message: Message) -> BubbleEntry:
    """Return the bubble of a message."""
    return BubbleEntry(
        *(message.id, message.sender, message.text, message.time, message.seq, message.id),
        *(message.file, message.state),
    )


INVITED = "invited"
"""The person is not in the group and cannot read it."""


@dataclass(slots=True, eq=False)
class AppConversation:
    """A private chat or a group."""

    address: str
    name: str = ""
    """Of a group."""
    joining: bool = False
    """In a group, whether new members read only what is written after they join."""
    role: str = ""
    """The person's role in a group: owner, member or INVITED."""
    members: int = 0
    last: BubbleEntry | None = None
    """The newest message; its text may be cut."""
    last_seq: int = 0
    read_seq: int = 0
    unread: int = 0
    other_received: int = 0
    other_read: int = 0
    entries: list[BubbleEntry] = field(default_factory=list)
    """Once loaded: consecutive messages without a gap, then those without a `seq`."""
    loaded: bool = False
    loading: bool = False
    """The newest messages have been requested."""
    older: bool = True
    """The realm has messages before the first of `entries`."""
    stale: bool = False
    """The counts have to be fetched."""
    unread_from: int = 0
    """The first unread message at the time of opening; 0 shows no unread line."""
    draft: str = ""

    @property
    def is_group(self) -> bool:
        return self.address.startswith("#")

    @property
    def realm(self) -> str:
        """The other realm of the conversation; empty for this realm."""
        return self.address.partition("@")[2]

    @property
    def title(self) -> str:
        """The title in the list."""
        return self.name if self.is_group and self.name else self.address

    def nearness(self, wanted: str) -> int | None:
        """Return how well the name matches a filter, lower is better; None if it does not match.

        Args:
            wanted: The folded text of the filter.
        """
        title, address = _folded(self.title), _folded(self.address)
        if wanted in (title, address, address.removeprefix("#")):
            return 0
        if title.startswith(wanted):
            return 1
        return 2 if begins(wanted, f"{title} {address}") else None

    @property
    def first_seq(self) -> int | None:
        """The `seq` of the oldest loaded message."""
        return next((entry.seq for entry in self.entries if entry.seq is not None), None)

    def fate(self, entry: BubbleEntry) -> str:
        """Return the delivery state of an own message; empty for other people's messages.

        Receipts override the message's state, except for refused and unsent messages.
        """
        if entry.state is None or entry.note:
            return ""
        if not self.is_group and entry.seq is not None and entry.state in (STORED, DELIVERED):
            if entry.seq <= self.other_read:
                return READ
            if entry.seq <= self.other_received:
                return DELIVERED
        return entry.state

    def find(self, key: str) -> BubbleEntry | None:
        """Return the entry with this key or message id."""
        return next((e for e in reversed(self.entries) if key in (e.key, e.id)), None)

    def put(self, entry: BubbleEntry) -> BubbleEntry:
        """Insert an entry at its place; an entry with the same `seq` is updated instead."""
        at = self._end_of(entry.place)
        if entry.seq is not None:
            for unplaced in reversed(self.entries):
                if unplaced.seq is not None or unplaced.note:
                    break
                if unplaced.id and unplaced.id == entry.id:
                    self.settle(unplaced, entry.seq)
                    unplaced.state = entry.state
                    return unplaced
            for before in range(at - 1, -1, -1):
                old = self.entries[before]
                if old.place < entry.seq:
                    break
                if old.seq == entry.seq:
                    old.state, old.why = entry.state, old.why if entry.state == REFUSED else ""
                    return old
        self.entries.insert(at, entry)
        return entry

    def _end_of(self, place: int) -> int:
        """Return where an entry of this place goes: behind those that have it."""
        return bisect_right(self.entries, place, key=lambda e: e.place)

    def settle(self, entry: BubbleEntry, seq: int | None) -> None:
        """Give an own message the `seq` that the realm assigned."""
        # The message may have come as an event before, if its call timed out.
        self.entries = [e for e in self.entries if e is not entry and (not e.seq or e.seq != seq)]
        entry.seq = seq
        self.entries.insert(self._end_of(entry.place), entry)

    def refuse(self, entry: BubbleEntry, why: str) -> None:
        """Mark an own message refused; it keeps its position below the current newest message."""
        if entry in self.entries:
            self.entries.remove(entry)
        entry.state, entry.why, entry.done = REFUSED, why, None
        entry.behind = self.last_seq
        self.entries.insert(self._end_of(entry.place), entry)

    def note(self, lines: Iterable[str], now: int) -> BubbleEntry:
        """Add a note by the app, behind the newest message."""
        key = f"note-{next(_NOTES)}"
        entry = BubbleEntry(key, "", "", now, note=tuple(lines), behind=self.last_seq)
        self.entries.insert(self._end_of(entry.place), entry)
        return entry

    def newest(self, messages: Sequence[Message], *, more: bool) -> None:
        """Add the newest page of the history; drop loaded messages with a gap before it."""
        first = messages[0].seq if messages else 0
        meets = self.loaded and any(e.seq in (first, first - 1) for e in self.entries if e.seq)
        if not meets:
            self.entries = [e for e in self.entries if e.seq is None or e.seq >= first]
        if not meets or self.first_seq is None or first <= self.first_seq:
            self.older = more
        self.loaded, self.loading = True, False
        self._take(messages)

    def earlier(self, messages: Sequence[Message], *, more: bool) -> None:
        """Add the page before the oldest loaded message."""
        self.older = more
        self._take(messages)

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            entry = self.put(entry_of(message))
            if message.seq >= self.last_seq:
                self.last, self.last_seq = entry, message.seq

    def arrived(self, message: Message) -> bool:
        """Add a message that was just pushed; False if it was known."""
        entry = entry_of(message)
        if self.loaded or self.loading:
            entry = self.put(entry)
        if message.seq <= self.last_seq:
            return False
        self.last, self.last_seq = entry, message.seq
        if message.state is None and message.seq > self.read_seq:
            self.unread += 1
        return True

    def read_to(self, seq: int) -> None:
        """Move the read marker: the person has read up to here, in this window or another one."""
        if seq <= self.read_seq:
            return
        self.read_seq = seq
        if seq >= self.last_seq:
            self.unread, self.stale = 0, False
        elif self.loaded and (self.first_seq or MAX_NUMBER) <= seq + 1:
            self.unread = sum(e.state is None and (e.seq or 0) > seq for e in self.entries)
        else:
            self.stale = True

    def standing(self, last_seq: int, read_seq: int, unread: int, last: Message | None) -> None:
        """Apply a row of a list, unless newer messages have come since it was requested."""
        if last_seq < self.last_seq:
            return
        if last is not None and (last_seq > self.last_seq or self.last is None):
            self.last = entry_of(last)
        self.last_seq = last_seq
        if read_seq >= self.read_seq:
            self.read_seq, self.unread, self.stale = read_seq, unread, False

    def is_ahead(self, last_seq: int) -> bool:
        """Tell whether messages newer than `last_seq` of a list are known or on their way."""
        waits = self.last is not None and self.last.state == WAITING
        return self.last_seq > last_seq or waits

    def trim(self, most: int) -> None:
        """Drop the oldest messages beyond `most`; unsent messages stay."""
        over = len(self.entries) - most
        if over > 0:
            waiting = [e for e in self.entries[:over] if e.state == WAITING]
            self.entries = waiting + self.entries[over:]
            self.older = True

    def unload(self) -> None:
        """Keep only unsent messages; the others are fetched again when the conversation is
        opened."""
        self.trim(0)
        self.loaded = False

    def forget(self) -> None:
        """Drop everything but unsent messages: the history was replaced."""
        self.unload()
        self.last = None
        self.last_seq = self.read_seq = self.unread = self.unread_from = 0
        self.other_received = self.other_read = 0
