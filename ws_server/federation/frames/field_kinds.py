"""Kinds of fields that only links have; the others are those of commands.

Where a realm of another version may send more than this one knows, a kind is lenient: the value
counts as left out. Each kind is `Bounded`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shared.protocol.kinds import Base64, Number, Pattern, check_characters
from shared.protocol.precis import MAX_RAW_FACTOR, tamed_name
from shared.protocol.values import MAX_GROUP_NAME, BadValue
from ws_server.federation.frames.declaring import Convertible
from ws_server.store.message_content import ON_LINK, MessageContent, from_link

POSITIVE: Final = Number(1)
CLAIM: Final = Number(0, 2**52)
"""The last number that a peer may claim; counting on from it stays within 2**53."""
GROUP_NUMBER: Final = Number(1, 10**15 - 1)
"""A group's number in its host's realm; at most 15 digits, as in a group's address."""
MESSAGE_ID: Final = Pattern(re.compile(r"[!-~]{1,40}"), "1 to 40 visible ASCII characters")
PUBLIC_KEY: Final = Base64(size=32)
NO_NAME: Final = "(no name)"
"""Replaces a group's name without a visible character."""


class Bounded(Convertible, Protocol):
    """A kind of this module."""

    @property
    def bounds(self) -> str:
        """The values that it takes, for the documentation."""


class JsonKind:
    """A kind whose value and JSON value are the same."""

    def to_json(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Lenient(JsonKind):
    """A value of one JSON type; any other value counts as left out."""

    type: type
    bounds: str

    def from_json(self, value: object) -> Any:
        return value if type(value) is self.type else None


@dataclass(frozen=True)
class Is(JsonKind):
    """Whether a value is exactly this one; any other value counts as left out."""

    value: bool | str

    @property
    def bounds(self) -> str:
        return "`true`" if self.value is True else f"`{self.value}`"

    def from_json(self, value: object) -> bool:
        return type(value) is type(self.value) and value == self.value


@dataclass(frozen=True)
class OneOf(JsonKind):
    """One of several words; any other value counts as left out, and is the empty word."""

    words: tuple[str, ...]

    @property
    def bounds(self) -> str:
        return ", ".join(f"`{word}`" for word in self.words)

    def from_json(self, value: object) -> str:
        return value if isinstance(value, str) and value in self.words else ""


@dataclass(frozen=True)
class Listed:
    """A list of at most `most` objects."""

    kind: Convertible
    most: int

    @property
    def bounds(self) -> str:
        return f"at most {self.most:,} objects"

    def from_json(self, value: object) -> list[Any]:
        if not isinstance(value, list):
            raise BadValue("must be a list")
        if len(value) > self.most:
            raise BadValue(f"must have at most {self.most:,} entries")
        return [self.kind.from_json(one) for one in value]

    def to_json(self, value: list[Any]) -> list[Any]:
        return [self.kind.to_json(one) for one in value]


class Undecoded(JsonKind):
    """The rows of a batch: a list that is not empty. They are decoded once it is their turn."""

    bounds = "1 row or more"

    def from_json(self, value: object) -> list[object]:
        if not isinstance(value, list) or not value:
            raise BadValue("must be a list of rows")
        return value


@dataclass(frozen=True)
class Refusals(JsonKind):
    """An object of row numbers and codes; `Codes` are read of it for the rows that it may name."""

    most: int | None = None

    @property
    def bounds(self) -> str:
        return "row numbers and codes" + (f", at most {self.most:,}" if self.most else "")

    def from_json(self, value: object) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise BadValue("must be an object")
        if self.most is not None and len(value) > self.most:
            raise BadValue(f"must have at most {self.most:,} entries")
        return value


class WholeObject(JsonKind):
    """All fields of an object as they are: those of a question, which has a shape of its own."""

    bounds = "the fields of the question"

    def from_json(self, value: object) -> Mapping[str, Any]:
        assert isinstance(value, dict)
        return value


class Unchecked(JsonKind):
    """Any value; what it has to be depends on another field."""

    def __init__(self, bounds: str) -> None:
        self.bounds = bounds

    def from_json(self, value: object) -> object:
        return value


class GroupName(JsonKind):
    """A group's name as it is shown here.

    The host may have accepted the name by other rules. The host would send a refused roster again
    for ever, so invalid characters are replaced instead.
    """

    bounds = f"1 to {MAX_RAW_FACTOR * MAX_GROUP_NAME:,} characters"

    def from_json(self, value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= MAX_RAW_FACTOR * MAX_GROUP_NAME:
            raise BadValue("a group must have a name")
        check_characters(value)
        return tamed_name(value, NO_NAME)[:MAX_GROUP_NAME]


class Content:
    """The content of a message: the fields `message_content.ON_LINK`, beside those of its row."""

    bounds = ", ".join(f"`{name}`" for name in ON_LINK)

    def from_json(self, value: object) -> MessageContent:
        assert isinstance(value, dict)
        return from_link(value)

    def to_json(self, value: MessageContent) -> dict[str, Any]:
        return value.on_link()
