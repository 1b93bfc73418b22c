"""Importing accounts, conversations and messages of another system, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select, update

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import (
    MAX_NUMBER,
    Address,
    ConversationAddress,
    GroupAddress,
    fold,
)
from ws_server.store import conversations, messages, recipients
from ws_server.store.accounts import users as accounts
from ws_server.store.contents.files import StoredFile
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import Draft, MessageEntry, Storage
from ws_server.store.groups import group_members
from ws_server.store.message_content import MessageContent
from ws_server.store.messages import Progress
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import imported_groups, members, users

KEPT = Storage(quota=MAX_NUMBER)
"""Imported files are not subject to the quota."""
LINES = 256
"""Messages written at a time."""
MAX_KEPT_NUMBER = 10**14 - 1
"""The highest imported group number: new groups count on from the highest one, and an address has
at most 15 digits."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account to add; `password` is an argon2id hash, or empty if none can be used."""

    name: str
    real_name: str
    country: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """A group; the following lines belong to it. Members are given by their folded names."""

    old_id: str
    name: str
    members: Sequence[str]
    """Not empty; the first is the owner."""


@dataclass(frozen=True, slots=True)
class Private:
    """A private chat of two users, or of one with themselves; the following lines belong to it."""

    people: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """A message; `key` is its idempotency key, the same in each import."""

    sender: str
    text: str
    key: str
    file: StoredFile | None = None


Step = Group | Private | Sequence[Line]


@dataclass(slots=True)
class Imported:
    """The numbers of rows added."""

    users: int = 0
    groups: int = 0
    messages: int = 0
    files: int = 0
    refused: int = 0
    """Messages of users who left their group while the import was being prepared."""


def accounts_by_key(tx: Connection) -> dict[str, tuple[int, str]]:
    """Return id and name of every account, by folded name."""
    rows = tx.execute(select(users.c.key, users.c.id, users.c.name))
    return {key: (id, name) for key, id, name in rows}


def imported_group(tx: Connection, old_id: str) -> tuple[int, set[int]] | None:
    """Return number and members of a group imported earlier; None if it was not."""
    row = tx.execute(
        select(conversation_table.c.id, conversation_table.c.number)
        .join(imported_groups, imported_groups.c.conversation_id == conversation_table.c.id)
        .where(imported_groups.c.old_id == old_id)
    ).first()
    if row is None:
        return None
    inside = select(members.c.user_id).where(members.c.conversation_id == row.id)
    return row.number, set(tx.scalars(inside))


def kept_number(old_id: str) -> int | None:
    """Return the number that a group should keep: its old id, if that is a number in range."""
    if old_id.isascii() and old_id.isdecimal() and len(old_id) < 16:
        number = int(old_id)
        if str(number) == old_id and 0 < number <= MAX_KEPT_NUMBER:
            return number
    return None


def write(
    tx: Connection,
    now: int,
    people: Sequence[NewUser],
    chats: Collection[Private],
    steps: Iterable[Step],
    reserved: int,
    going: Callable[[], bool],
) -> Imported:
    """Add all that is new: accounts, groups not imported before, messages with unused keys.

    Existing accounts and groups stay unchanged, except that newly added users join the groups
    listing them. Added messages count as read by members who had read everything before.

    Args:
        now: Unix milliseconds; the time of all messages.
        chats: The private chats among `steps`.
        steps: Every user named in them has an account or is one of `people`.
        reserved: The highest group number that the import should keep, or 0.
        going: Called before each step; False aborts the import.

    Raises:
        ChatError: UNAVAILABLE, the import was aborted.
    """
    writing = _Writing(tx, people, chats, reserved, now)
    for step in steps:
        if not going():
            raise ChatError(ErrorCode.UNAVAILABLE, "The import was stopped; nothing was done")
        if isinstance(step, Group):
            writing.open_group(step)
        elif isinstance(step, Private):
            writing.open_private(step)
        else:
            writing.add(step)
    writing.finish()
    return writing.done


class _Writing:
    """One running import, inside its transaction."""

    def __init__(
        self,
        tx: Connection,
        people: Sequence[NewUser],
        chats: Collection[Private],
        reserved: int,
        now: int,
    ) -> None:
        self._tx = tx
        self._now = now
        self._new = _add_users(tx, people, now)
        self._ids = {key: id for key, (id, _) in accounts_by_key(tx).items()}
        self._chats = recipients.open_private(tx, {self._pair(chat) for chat in chats}, now)
        self._last_number = max(reserved, group_members.last_number(tx))
        self._progress = Progress()
        self._before: dict[int, int] = {}
        """The last seqs before the import, of all opened conversations."""
        self._open: Conversation | None = None
        self._waiting: list[MessageEntry] = []
        self.done = Imported(users=len(self._new))

    def _pair(self, chat: Private) -> tuple[int, int]:
        one, other = (self._ids[key] for key in chat.people)
        return min(one, other), max(one, other)

    def _turn_to(self, conversation: Conversation) -> None:
        self._open = conversation
        self._before.setdefault(conversation.id, conversation.last_seq)

    def open_group(self, group: Group) -> None:
        found = self._tx.scalar(
            select(imported_groups.c.conversation_id).where(
                imported_groups.c.old_id == group.old_id
            )
        )
        self._turn_to(self._make(group) if found is None else self._join(found, group))

    def _make(self, group: Group) -> Conversation:
        owner, *others = (self._ids[key] for key in group.members)
        number = kept_number(group.old_id)
        if number is None or self._is_taken(number):
            number = self._last_number = self._last_number + 1
        made = group_members.create_group(
            self._tx, owner, group.name, self._now, others=others, number=number
        )
        self._tx.execute(
            insert(imported_groups).values(old_id=group.old_id, conversation_id=made.id)
        )
        self.done.groups += 1
        return made

    def _is_taken(self, number: int) -> bool:
        return conversations.load(self._tx, group=GroupAddress(number), only=()) is not None

    def _join(self, id: int, group: Group) -> Conversation:
        found = conversations.load(self._tx, id=id)
        assert found is not None
        for key in group.members:
            if key in self._new:
                user = accounts.existing(self._tx, key)
                found = group_members.join(self._tx, found, user)
        return found

    def open_private(self, chat: Private) -> None:
        self._turn_to(self._chats[self._pair(chat)])

    def add(self, lines: Sequence[Line]) -> None:
        """Add messages to the conversation opened last."""
        assert self._open is not None
        self._waiting += [self._entry(self._open, line) for line in lines]
        while len(self._waiting) >= LINES:
            self._write(self._waiting[:LINES])
            del self._waiting[:LINES]

    def _entry(self, conversation: Conversation, line: Line) -> MessageEntry:
        sender = self._ids[line.sender]
        target: ConversationAddress
        if conversation.number is None:
            target = Address(conversation.address(sender))
        else:
            target = GroupAddress(conversation.number)
        content = MessageContent(line.text, line.file)
        return MessageEntry(Draft(sender, target, content, line.key, KEPT), cached=conversation)

    def _write(self, entries: list[MessageEntry]) -> None:
        messages.write(self._tx, entries, self._now, self._progress)
        for entry in entries:
            if entry.error is not None:
                self.done.refused += 1
            elif not entry.duplicate:
                self.done.messages += 1
                self.done.files += entry.draft.content.file is not None

    def finish(self) -> None:
        """Write the remaining messages; advance the markers of members who had read everything."""
        self._write(self._waiting)
        by_last: dict[int, list[int]] = {}
        for id, before in self._before.items():
            by_last.setdefault(before, []).append(id)
        last = (
            select(conversation_table.c.last_seq)
            .where(conversation_table.c.id == members.c.conversation_id)
            .scalar_subquery()
        )
        for before, ids in by_last.items():
            for start in range(0, len(ids), 500):
                self._tx.execute(
                    update(members)
                    .where(members.c.conversation_id.in_(ids[start : start + 500]))
                    .where(members.c.read_seq == before)
                    .values(read_seq=last, received_seq=last)
                )


def _add_users(tx: Connection, people: Sequence[NewUser], now: int) -> set[str]:
    """Add accounts without admin rights for free names; return those names, folded."""
    free = {fold(person.name): person for person in people}
    for key in accounts_by_key(tx):
        free.pop(key, None)
    rows = [
        {
            "name": person.name,
            "key": key,
            "real_name": person.real_name,
            "country": person.country,
            "password": person.password,
            "admin": False,
            "created": now,
        }
        for key, person in free.items()
    ]
    if rows:
        tx.execute(insert(users), rows)
    return set(free)
