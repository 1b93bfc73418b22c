"""The questions of a link, each with its answer: what needs one is asked beside the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast, dataclass_transform

from shared.protocol.commands.groups import HISTORY
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import KEY, LOCAL_NAME, SEQ, Number, Text
from shared.protocol.values import MAX_GROUP_NAME
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
    POSITIVE,
    PUBLIC_KEY,
    Is,
    Listed,
)
from ws_server.federation.frames.rows import RELAYED, ROSTER
from ws_server.store.federation.replica_repair import GroupPosition
from ws_server.store.federation.replicas import Relayed
from ws_server.store.federation.roster_sync import MAX_LISTED
from ws_server.store.federation.rosters import Roster

A = TypeVar("A", bound=Shaped)
Q = TypeVar("Q", bound="Question[Any]")

MAX_PAGE = 200
"""Messages that one question fetches."""
NAME_BUDGET = "one question, and a name if nobody has it"


class Question(Shaped, Generic[A]):
    """A kind of question; A is its answer, `declared` its line in the table."""

    __slots__ = ()
    declared: ClassVar[Declared[Any]]
    answer: ClassVar[type[Shaped]]

    def fields(self) -> dict[str, Any]:
        """Return the fields of the frame `ask`, besides those of each question."""
        return self.shape.to_json(self)


QUESTIONS: dict[str, type[Question[Any]]] = {}
"""Every kind of question by its name."""


@dataclass_transform(frozen_default=True, field_specifiers=(value,))
def question(
    what: str,
    answer: type[Shaped],
    *,
    direction: Direction = Direction.TO_HOST,
    budget: str = "one question",
) -> Callable[[type[Q]], type[Q]]:
    """Declare a kind of question; the class becomes a frozen dataclass and a line of `QUESTIONS`.

    Args:
        answer: The shape of `ok` in its answer.
    """

    def declare(cls: type[Q]) -> type[Q]:
        assert what not in QUESTIONS, f"{what} is declared twice"
        made = cast(Any, shaped(cls))
        help = (made.__doc__ or "").strip().partition("\n")[0]
        made.declared = Declared(what, made.shape, direction, help, budget)
        made.answer = answer
        QUESTIONS[what] = made
        return cast("type[Q]", made)

    return declare


def read(what: str, fields: Mapping[str, Any]) -> Question[Any]:
    """Return a question.

    Raises:
        ChatError: BAD_COMMAND, the kind is unknown.
        BadValue: a field is missing or malformed; the sentence begins with its name.
    """
    kind = QUESTIONS.get(what)
    if kind is None:
        raise ChatError(ErrorCode.BAD_COMMAND, f"{what[:32]} is not understood here")
    return cast("Question[Any]", kind.shape.from_json(fields))


@shaped
class NamedUser(Shaped):
    """A person whom a question is about, of any realm."""

    name: str = value("in their own realm", LOCAL_NAME)
    key: bytes | None = value(
        "of their realm; left out for the realm that is asked", PUBLIC_KEY, absent=None
    )


POSITION = Shape(
    "Position",
    GroupPosition,
    [
        Field("group", GROUP_NUMBER, "its number", "group"),
        Field("version", POSITIVE, "of its roster", "version"),
        Field("last_seq", SEQ, "of its last message", "last_seq"),
    ],
)


@shaped
class RosterAnswer(Shaped):
    """A group's roster."""

    roster: Roster = value("after the change", ROSTER)


@shaped
class UserAnswer(Shaped):
    """A person's name."""

    name: str = value("as their account spells it", LOCAL_NAME)


@shaped
class HistoryAnswer(Shaped):
    """A page of a group's messages, the oldest first."""

    messages: list[Relayed] = value("rows without number and kind", Listed(RELAYED, MAX_PAGE))


@shaped
class GroupsAnswer(Shaped):
    """A page of groups, by number."""

    groups: list[GroupPosition] = value("their positions", Listed(POSITION, MAX_LISTED))
    more: bool = value("further groups follow", Is(True), absent=False)


@shaped
class ProbeAnswer(Shaped):
    """The time of the realm that was asked."""

    time: int = value("Unix milliseconds", Number(0, 2**53))


@question("user", UserAnswer, direction=Direction.EITHER, budget=NAME_BUDGET)
class UserQuestion(Question[UserAnswer]):
    """Whether there is a person of this name, who may be invited."""

    name: str = value("the person", LOCAL_NAME)
    by: str | None = value("who is going to invite them", LOCAL_NAME, absent=None)


@question("creategroup", RosterAnswer)
class CreateGroupQuestion(Question[RosterAnswer]):
    """Create a group for a person of the asking realm."""

    by: str = value("its owner", LOCAL_NAME)
    name: str = value("its name", Text(MAX_GROUP_NAME, one_line=True))
    request: str = value("the same makes no second group", KEY)


@question("invite", RosterAnswer, budget=NAME_BUDGET)
class InviteQuestion(Question[RosterAnswer]):
    """Invite a person to a group."""

    by: str = value("a member of the asking realm", LOCAL_NAME)
    group: int = value("its number", GROUP_NUMBER)
    user: NamedUser = value("the person", NamedUser.shape)


@shaped
class Governing(Question[RosterAnswer]):
    """A change by the owner of a group, about one person."""

    by: str = value("the owner, of the asking realm", LOCAL_NAME)
    group: int = value("its number", GROUP_NUMBER)
    user: NamedUser = value("the person", NamedUser.shape)


@question("kick", RosterAnswer)
class KickQuestion(Governing):
    """Remove a person from a group."""


@question("ban", RosterAnswer)
class BanQuestion(Governing):
    """Remove a person from a group, for good."""


@question("unban", RosterAnswer)
class UnbanQuestion(Governing):
    """Let a banned person be invited again."""


@question("grouphistory", RosterAnswer)
class GroupHistoryQuestion(Question[RosterAnswer]):
    """Choose the history that new members see."""

    by: str = value("the owner, of the asking realm", LOCAL_NAME)
    group: int = value("its number", GROUP_NUMBER)
    history: str = value("all of it, or messages from joining on", HISTORY)


@question("leave", RosterAnswer)
class LeaveQuestion(Question[RosterAnswer]):
    """Leave a group, or decline the invitation."""

    by: str = value("a member of the asking realm", LOCAL_NAME)
    group: int = value("its number", GROUP_NUMBER)


@question("history", HistoryAnswer)
class HistoryQuestion(Question[HistoryAnswer]):
    """Read messages of a group."""

    group: int = value("its number", GROUP_NUMBER)
    after: int = value("the `seq` before the first message", SEQ)
    limit: int = value("messages at most", Number(1, MAX_PAGE))


@question("groups", GroupsAnswer)
class GroupsQuestion(Question[GroupsAnswer]):
    """List the groups that have members of the asking realm."""

    after: int = value("the number before the first group, 0 at first", SEQ)


@question("roster", RosterAnswer)
class RosterQuestion(Question[RosterAnswer]):
    """Read who is in a group."""

    group: int = value("its number", GROUP_NUMBER)


@question("probe", ProbeAnswer, direction=Direction.EITHER)
class ProbeQuestion(Question[ProbeAnswer]):
    """Have a row `probe` sent."""

    token: str = value("the row's token", KEY)
