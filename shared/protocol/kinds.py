"""Kinds of argument: how a word or a JSON value becomes a checked Python value, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shared.protocol import base64, precis, values
from shared.protocol.file_names import clean_file_name
from shared.protocol.values import Address, BadValue, GroupAddress

_WHOLE: Final = re.compile(r"-?[0-9]+")
_MAX_DIGITS: Final = 16
"""As many as the largest number has; of longer words no number is made."""


class Kind(Protocol):
    """One kind of argument. Both readers raise `BadValue` with a sentence."""

    def from_word(self, word: str) -> Any: ...
    def from_json(self, value: object) -> Any: ...
    def to_json(self, value: Any) -> Any: ...


def _string(value: object) -> str:
    if type(value) is not str:
        raise BadValue("must be a string")
    return value


def check_characters(text: str) -> None:
    """Refuse NUL, which PostgreSQL text cannot hold, and lone surrogates, which have no UTF-8."""
    if "\0" in text:
        raise BadValue("NUL is not allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue("lone surrogates are not allowed") from None


class Word:
    """A kind whose word and JSON string are the same text."""

    def from_word(self, word: str) -> Any:
        raise NotImplementedError

    def from_json(self, value: object) -> Any:
        return self.from_word(_string(value))

    def to_json(self, value: Any) -> Any:
        return str(value)


@dataclass(frozen=True)
class Text(Word):
    """Text of `least` to `most` characters (or bytes of UTF-8).

    What is counted is the value, which for names and passwords is not always what was typed.
    """

    most: int
    least: int = 1
    in_bytes: bool = False
    one_line: bool = False
    """It names something: the value is what `precis.clean_name` leaves of it."""
    seen: bool = False
    """It has to show something; it is verbatim all the same."""

    def from_word(self, word: str) -> str:
        if (self.one_line or isinstance(self, Secret)) and len(word) <= precis.MOST_RAW * self.most:
            check_characters(word)
            word = self.prepared(word)
        if not word.isascii() or "\0" in word:
            check_characters(word)
            size = len(word.encode()) if self.in_bytes else len(word)
        else:
            size = len(word)
        if not self.least <= size <= self.most:
            unit = "bytes" if self.in_bytes else "characters"
            raise BadValue(f"must have {self.least} to {self.most:,} {unit}")
        if self.seen and not precis.shows_something(word):
            raise BadValue("shows nothing; write something that can be seen")
        return word

    def prepared(self, word: str) -> str:
        """Return a name as it is kept.

        Raises:
            BadValue: nothing of it can be seen, or it is no line.
        """
        name = precis.clean_name(word)
        if word and not name:
            raise BadValue("must be one line of visible text")
        return name


@dataclass(frozen=True)
class Secret(Text):
    """Text that apps mask while it is typed, and keep out of every history."""

    def prepared(self, word: str) -> str:
        """Return it as it is: only the server knows how old passwords were spelt."""
        return word


@dataclass(frozen=True)
class NewPassword(Secret):
    """A password to come, as OpaqueString has it (RFC 8265), without controls."""

    def prepared(self, word: str) -> str:
        if values.CONTROLS.search(word):
            raise BadValue("must have no tabs, line breaks and other control characters")
        return precis.password(word)


@dataclass(frozen=True)
class Number:
    """A whole number from `least` to `most`."""

    least: int = 0
    most: int = values.MAX_NUMBER

    def from_word(self, word: str) -> int:
        if _WHOLE.fullmatch(word) is None:
            raise BadValue("must be a whole number")
        if len(word) > _MAX_DIGITS:
            raise self._out_of_bounds()
        return self.from_json(int(word))

    def from_json(self, value: object) -> int:
        if type(value) is not int:  # not isinstance: True is an int
            raise BadValue("must be a whole number")
        if not self.least <= value <= self.most:
            raise self._out_of_bounds()
        return value

    def to_json(self, value: int) -> int:
        return value

    def _out_of_bounds(self) -> BadValue:
        return BadValue(f"must be from {self.least} to {self.most}")


class Flag:
    """True or false; JSON only."""

    def from_word(self, word: str) -> bool:
        raise BadValue("can be given in JSON only")

    def from_json(self, value: object) -> bool:
        if type(value) is not bool:
            raise BadValue("must be true or false")
        return value

    def to_json(self, value: bool) -> bool:
        return value


class User(Word):
    """A person's address."""

    def from_word(self, word: str) -> Address:
        if word.startswith("#"):
            raise BadValue("this is a group; groups have commands of their own, such as sendg")
        return Address.parse(word)


class LocalName(Word):
    """A name without a realm: of a new account, or of a realm."""

    def from_word(self, word: str) -> str:
        if not values.NAME.fullmatch(word):
            raise BadValue("must be 1 to 32 of A-Z a-z 0-9 . _ -")
        return word


class Group(Word):
    """A group's address; in JSON a bare number is accepted too."""

    def from_word(self, word: str) -> GroupAddress:
        return GroupAddress.parse(word)

    def from_json(self, value: object) -> GroupAddress:
        return GroupAddress.parse(str(value) if type(value) is int else _string(value))


class ConversationKind(Word):
    """A person's or a group's address."""

    def from_word(self, word: str) -> values.Conversation:
        return values.parse_conversation(word)


class FileName(Word):
    """A file's name; paths and deceiving characters are taken off."""

    def from_word(self, word: str) -> str:
        check_characters(word)
        return clean_file_name(word)


@dataclass(frozen=True)
class Base64:
    """Content in base64, as `base64.read` takes it; of a fixed size only in its one spelling.

    Sizes are judged by the handler, which can answer `too_large`, but for those that are fixed.
    """

    size: int | None = None
    """Bytes of content, if that is fixed: of keys and signatures, which programs write."""

    def from_word(self, word: str) -> bytes:
        content = base64.read(word) if self.size is None else base64.read_strict(word)
        if self.size is not None and len(content) != self.size:
            raise BadValue(f"must be base64 of {self.size} bytes")
        return content

    def from_json(self, value: object) -> bytes:
        return self.from_word(_string(value))

    def to_json(self, value: bytes) -> str:
        return base64.written(value)


@dataclass(frozen=True)
class Pattern(Word):
    """A word of a fixed form, such as a hash."""

    form: re.Pattern[str]
    described: str

    def from_word(self, word: str) -> str:
        if not self.form.fullmatch(word):
            raise BadValue(f"must be {self.described}")
        return word


class Positions:
    """`{conversation: last seq}`, the reader's last known position in each; JSON only."""

    def from_word(self, word: str) -> dict[values.Conversation, int]:
        raise BadValue("can be given in JSON only")

    def from_json(self, value: object) -> dict[values.Conversation, int]:
        if not isinstance(value, dict):
            raise BadValue("must be an object of conversation and last seq")
        if len(value) > values.MAX_POSITIONS:
            raise BadValue(f"can name at most {values.MAX_POSITIONS:,} conversations")
        return {
            CONVERSATION.from_json(conversation): SEQ.from_json(seq)
            for conversation, seq in value.items()
        }

    def to_json(self, value: dict[values.Conversation, int]) -> dict[str, int]:
        return {str(conversation): seq for conversation, seq in value.items()}


FLAG: Final = Flag()
USER: Final = User()
LOCAL_NAME: Final = LocalName()
GROUP: Final = Group()
CONVERSATION: Final = ConversationKind()
FILE_NAME: Final = FileName()
BASE64: Final = Base64()
POSITIONS: Final = Positions()
MESSAGE_TEXT: Final = Text(values.MAX_TEXT, in_bytes=True, seen=True)
LABEL: Final = Text(values.MAX_LABEL, least=0, in_bytes=True)
KEY: Final = Text(values.MAX_LABEL, in_bytes=True)
IDENTIFIER: Final = Text(128)
NEW_PASSWORD: Final = NewPassword(values.MAX_PASSWORD, values.MIN_PASSWORD)
PASSWORD: Final = Secret(1024)
TOKEN: Final = Secret(128)
SEQ: Final = Number()
_RFC_6838 = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MEDIA_TYPE: Final = Pattern(re.compile(f"{_RFC_6838}/{_RFC_6838}"), "a media type")
SHA256: Final = Pattern(re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits in lower case")
