"""One conversation as the app knows it: its messages in their order, and where its people stand.

Pure: it takes what the realm said, in whatever order that came, and holds it once.
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
"""Names, which each key that is typed into the filter compares."""
KEPT = 2_000
"""Messages of the open conversation that are kept; older ones are read again when wanted."""
KEPT_CLOSED = 100
"""The same while another conversation is open."""

WAITING, STORED, QUEUED, DELIVERED, READ, REFUSED = FATES = (
    *("waiting", "stored", "queued"),
    *("delivered", "read", "refused"),
)
"""What became of an own message. It waits until the realm has answered."""


@dataclass(slots=True, eq=False)
class Entry:
    """One bubble: a message, one on its way, or a note of the app itself."""

    key: str
    """Unique in the conversation, and stays when a message gets its place."""
    sender: str
    text: str
    time: int
    """Unix milliseconds."""
    seq: int | None = None
    """Its place; None while it has none."""
    id: str = ""
    file: FileInfo | None = None
    state: str | None = None
    """Of an own message, one of FATES; None: somebody else's."""
    why: str = ""
    """Why it was refused, in words."""
    done: float | None = None
    """How much of its file is there, 0 to 1; None: it is not on its way."""
    note: tuple[str, ...] = ()
    """Lines that the app says itself, instead of a message."""
    behind: int = 0
    """A note, and what was refused without a place, comes behind this message."""

    @property
    def place(self) -> int:
        """Where it stands among the others: what has no place yet is last."""
        if self.note or (self.seq is None and self.state == REFUSED):
            return self.behind
        return MAX_NUMBER if self.seq is None else self.seq


def entry_of(message: Message) -> Entry:
    """Return the bubble of a message."""
    return Entry(
        *(message.id, message.sender, message.text, message.time, message.seq, message.id),
        *(message.file, message.state),
    )


@dataclass(slots=True, eq=False)
class Conversation:
    """A private chat or a group."""

    address: str
    name: str = ""
    """Of a group."""
    role: str = ""
    """One's own in a group: owner or member."""
    members: int = 0
    last: Entry | None = None
    """The newest message, its text perhaps cut."""
    last_seq: int = 0
    read_seq: int = 0
    unread: int = 0
    other_received: int = 0
    other_read: int = 0
    entries: list[Entry] = field(default_factory=list)
    """Once loaded: without a gap from some message on, then what has no place yet."""
    loaded: bool = False
    loading: bool = False
    """Its newest messages have been asked for."""
    older: bool = True
    """There are messages before the first of `entries`."""
    stale: bool = False
    """Its counts are to be asked for."""
    unread_from: int = 0
    """The first message that was unread when one opened it; 0: no line is shown."""
    draft: str = ""

    @property
    def is_group(self) -> bool:
        return self.address.startswith("#")

    @property
    def realm(self) -> str:
        """The other realm that it is with, empty: this one."""
        return self.address.partition("@")[2]

    @property
    def title(self) -> str:
        """What it is called in the list."""
        return self.name if self.is_group and self.name else self.address

    def nearness(self, wanted: str) -> int | None:
        """Return how near its name is to what is looked for, the nearest first; None: it is not.

        Args:
            wanted: Folded.
        """
        title, address = _folded(self.title), _folded(self.address)
        if wanted in (title, address, address.removeprefix("#")):
            return 0
        if title.startswith(wanted):
            return 1
        return 2 if begins(wanted, f"{title} {address}") else None

    @property
    def first_seq(self) -> int | None:
        """The oldest message that is here."""
        return next((entry.seq for entry in self.entries if entry.seq is not None), None)

    def fate(self, entry: Entry) -> str:
        """Return what became of an own message; empty for somebody else's.

        Receipts tell more than the message does, but not of what never arrived.
        """
        if entry.state is None or entry.note:
            return ""
        if not self.is_group and entry.seq is not None and entry.state in (STORED, DELIVERED):
            if entry.seq <= self.other_read:
                return READ
            if entry.seq <= self.other_received:
                return DELIVERED
        return entry.state

    def find(self, key: str) -> Entry | None:
        """Return the entry with this key or message id."""
        return next((e for e in reversed(self.entries) if key in (e.key, e.id)), None)

    def put(self, entry: Entry) -> Entry:
        """Put an entry in its place; the message that has it is updated instead."""
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

    def settle(self, entry: Entry, seq: int | None) -> None:
        """Give an own message its place, for the realm told it."""
        # It may have come as an event already, after a call that timed out.
        self.entries = [e for e in self.entries if e is not entry and (not e.seq or e.seq != seq)]
        entry.seq = seq
        self.entries.insert(self._end_of(entry.place), entry)

    def refuse(self, entry: Entry, why: str) -> None:
        """An own message will not get a place: it stays where it is, below what is here now."""
        if entry in self.entries:
            self.entries.remove(entry)
        entry.state, entry.why, entry.done = REFUSED, why, None
        entry.behind = self.last_seq
        self.entries.insert(self._end_of(entry.place), entry)

    def note(self, lines: Iterable[str], now: int) -> Entry:
        """Say something of the app's own, behind the newest message."""
        key = f"note-{next(_NOTES)}"
        entry = Entry(key, "", "", now, note=tuple(lines), behind=self.last_seq)
        self.entries.insert(self._end_of(entry.place), entry)
        return entry

    def newest(self, messages: Sequence[Message], *, more: bool) -> None:
        """Take the newest page of its history; what is here and does not reach it is forgotten."""
        first = messages[0].seq if messages else 0
        meets = self.loaded and any(e.seq in (first, first - 1) for e in self.entries if e.seq)
        if not meets:
            self.entries = [e for e in self.entries if e.seq is None or e.seq >= first]
        if not meets or self.first_seq is None or first <= self.first_seq:
            self.older = more
        self.loaded, self.loading = True, False
        self._take(messages)

    def earlier(self, messages: Sequence[Message], *, more: bool) -> None:
        """Take the page before the oldest message that is here."""
        self.older = more
        self._take(messages)

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            entry = self.put(entry_of(message))
            if message.seq >= self.last_seq:
                self.last, self.last_seq = entry, message.seq

    def arrived(self, message: Message) -> bool:
        """Take a message that just came; False if it was known."""
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
        """The person has read up to here, in this window or another."""
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
        """Take a row of a list. One that is older than what came meanwhile counts for nothing."""
        if last_seq < self.last_seq:
            return
        if last is not None and (last_seq > self.last_seq or self.last is None):
            self.last = entry_of(last)
        self.last_seq = last_seq
        if read_seq >= self.read_seq:
            self.read_seq, self.unread, self.stale = read_seq, unread, False

    def is_ahead(self, last_seq: int) -> bool:
        """Tell whether more is known here, or on its way, than a list with this newest message."""
        waits = self.last is not None and self.last.state == WAITING
        return self.last_seq > last_seq or waits

    def trim(self, most: int) -> None:
        """Forget the oldest messages of more than `most`; what waits to be sent stays."""
        over = len(self.entries) - most
        if over > 0:
            waiting = [e for e in self.entries[:over] if e.state == WAITING]
            self.entries = waiting + self.entries[over:]
            self.older = True

    def unload(self) -> None:
        """Keep only what waits to be sent; the rest is read again when it is opened."""
        self.trim(0)
        self.loaded = False

    def forget(self) -> None:
        """The history is another one: only what was never sent is left."""
        self.unload()
        self.last = None
        self.last_seq = self.read_seq = self.unread = self.unread_from = 0
        self.other_received = self.other_read = 0
