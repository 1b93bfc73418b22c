"""The rows of a link. A batch carries them, and each is stored, or refused with a code.

The messages of a group and its roster are of the same shape in a row and in the answer to a
question.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, dataclass_transform

from shared.protocol.kinds import KEY, LOCAL_NAME, REALM_NAME, SEQ
from shared.protocol.values import MAX_NUMBER, BadValue
from ws_server.federation.frames.declaring import (
    Declared,
    Direction,
    Field,
    Shape,
    Shaped,
    shaped,
    value,
)
from ws_server.federation.frames.field_kinds import (
    GROUP_NUMBER,
    MESSAGE_ID,
    POSITIVE,
    PUBLIC_KEY,
    Content,
    GroupName,
    Is,
    Listed,
    OneOf,
    Unchecked,
)
from ws_server.federation.frames.link_frames import Overrun
from ws_server.store.federation import outbox
from ws_server.store.federation.replicas import Relayed, Speaker
from ws_server.store.federation.rosters import Member, Roster
from ws_server.store.groups.group_members import MAX_MEMBERS
from ws_server.store.message_content import MessageContent

R = TypeVar("R", bound=Shaped)

_UNSET = -1
"""`joined` of a member for whom the host sends none."""


def _speaker(name: str, realm: object, key: bytes | None) -> Speaker:
    return Speaker(name) if key is None else Speaker(name, REALM_NAME.from_json(realm), key)


SPEAKER = Shape(
    "Person",
    _speaker,
    [
        Field("name", LOCAL_NAME, "in their own realm", "name"),
        Field(
            *("realm", Unchecked("a realm's name"), "the host's name for their realm; with `key`"),
            *("realm", ""),
        ),
        Field("key", PUBLIC_KEY, "of their realm; left out for the host's own", "key", None),
    ],
)
MEMBER = Shape(
    "Member",
    Member,
    [
        Field("speaker", SPEAKER, "who it is", None),
        Field("owner", Is(True), "they own the group", "owner", False),
        Field("joined", SEQ, "the `seq` at which they joined; else `last_seq`", "joined", _UNSET),
        Field("hidden", SEQ, "messages up to this `seq` are not for them", "hidden", 0),
    ],
)


def _roster(
    group: int,
    name: str,
    version: int,
    last_seq: int,
    members: list[Member],
    change: str,
    by: Speaker | None,
    joining: bool,
) -> Roster:
    joined = [m if m.joined != _UNSET else replace(m, joined=last_seq) for m in members]
    return Roster(group, name, version, last_seq, joined, change, by, joining)


ROSTER = Shape(
    "Roster",
    _roster,
    [
        Field("group", GROUP_NUMBER, "its number at the host", "group"),
        Field("name", GroupName(), "its name", "name"),
        Field("version", POSITIVE, "rises with each change", "version"),
        Field("last_seq", SEQ, "of the last message", "last_seq"),
        Field("members", Listed(MEMBER, MAX_MEMBERS), "all members, the oldest first", "members"),
        Field(
            *("change", OneOf(("joined", "left", "removed", "invited")), "why it is sent"),
            *("change", ""),
        ),
        Field("by", SPEAKER, "who invited the one who joined", "by", None),
        Field("joining", Is("joining"), "new members see no older messages", "history", False),
    ],
)
RELAYED = Shape(
    "Group message",
    Relayed,
    [
        Field("group", GROUP_NUMBER, "its number at the host", "group"),
        Field("seq", POSITIVE, "in the group", "seq"),
        Field("id", MESSAGE_ID, "given by the sender's realm", "id"),
        Field("sender", SPEAKER, "the sender", "from"),
        Field("time", SEQ, "Unix milliseconds", "time"),
        Field("content", Content(), "a text, or a file with an empty text", None),
    ],
)

ROWS: dict[str, Declared[Any]] = {}
"""Every kind of row by its name."""


def _declare(
    kind: str, shape: Shape[Any], direction: Direction, help: str, budget: str = "as `message`"
) -> None:
    assert kind not in ROWS, f"{kind} is declared twice"
    ROWS[kind] = Declared(kind, shape, direction, help, budget)


@dataclass_transform(frozen_default=True, field_specifiers=(value,))
def row(
    kind: str, direction: Direction = Direction.EITHER, budget: str = "as `message`"
) -> Callable[[type[R]], type[R]]:
    """Declare a kind of row; the class becomes a frozen dataclass and a line of `ROWS`."""

    def declare(cls: type[R]) -> type[R]:
        made = shaped(cls)
        help = (made.__doc__ or "").strip().partition("\n")[0]
        _declare(kind, made.shape, direction, help, budget)
        return made

    return declare


@row(outbox.MESSAGE, budget="one row, and one more for 4 KiB")
class MessageRow(Shaped):
    """A private message. Its `time` is not read: the receiver dates it."""

    sender: str = value("a person of the sending realm", LOCAL_NAME, wire="from")
    to: str = value("a person of the receiving realm", LOCAL_NAME)
    id: str = value("unique for the sender", MESSAGE_ID)
    seq: int = value("in the sender's copy of the chat", POSITIVE)
    content: MessageContent = value("a text, or a file with an empty text", Content(), beside=True)


@row(outbox.POST, Direction.TO_HOST)
class PostRow(Shaped):
    """A message for a group of the receiving realm. Its `time` is not read."""

    group: int = value("its number", GROUP_NUMBER)
    sender: str = value("a member of the sending realm", LOCAL_NAME, wire="from")
    id: str = value("unique for the sender", MESSAGE_ID)
    content: MessageContent = value("a text, or a file with an empty text", Content(), beside=True)


_declare(outbox.GROUP, RELAYED, Direction.FROM_HOST, "A message of a group, in its order.")
_declare(outbox.CHANGE, ROSTER, Direction.FROM_HOST, "A group's members after a change.")


@row(outbox.RECEIPT)
class ReceiptRow(Shaped):
    """How far a person has received and read a private chat."""

    sender: str = value("who has read", LOCAL_NAME, wire="from")
    to: str = value("whose messages they are", LOCAL_NAME)
    received: int = value("the receiving realm's `seq`", SEQ)
    read: int = value("the receiving realm's `seq`", SEQ)


@row(outbox.PROBE)
class ProbeRow(Shaped):
    """Changes nothing; its confirmation shows that the receiver can store."""

    token: str = value("any text", KEY)


SentRow = MessageRow | PostRow | ReceiptRow
SENT_ROWS = (MessageRow, PostRow, ReceiptRow)
"""The rows that a person of the sending realm wrote."""
Row = SentRow | ProbeRow | Relayed | Roster


def decode(items: Sequence[object]) -> list[tuple[int, Row | None]]:
    """Return the rows of a batch with their numbers; None for one that is malformed.

    A row of an unknown kind is malformed too: its sender learns that it was not stored.

    Raises:
        Overrun: a row has no number, or the numbers do not rise.
    """
    rows: list[tuple[int, Row | None]] = []
    last = 0
    for item in items:
        number = item.get("number") if type(item) is dict else None
        if type(number) is not int or not 0 < number <= MAX_NUMBER:
            raise Overrun("a row has no number")
        if number <= last:
            raise Overrun("row numbers must rise")
        last = number
        rows.append((number, _row(item)))
    return rows


def _row(item: Any) -> Row | None:
    kind = item.get("kind")
    declared = ROWS.get(kind) if type(kind) is str else None
    try:
        found: Row | None = None if declared is None else declared.shape.from_json(item)
    except BadValue:
        return None
    return found
