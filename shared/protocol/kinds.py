"""Kinds of arguments: conversion of words and JSON values into checked Python values, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from shared.protocol import base64, precis, values
from shared.protocol.file_names import clean_file_name
from shared.protocol.values import Address, BadValue, GroupAddress

_WHOLE: Final = re.compile(r"-?[0-9]+")
_MAX_DIGITS: Final = 16
"""Digits of the largest number; longer words are not converted."""


class Kind(Protocol):
    """One kind of argument. Both parsing methods raise `BadValue` with a sentence."""

    def from_word(self, word: str) -> Any: ...
    def from_json(self, value: object) -> Any: ...
    def to_json(self, value: Any) -> Any: ...


def _string(value: object) -> str:
    if type(value) is not str:
        raise BadValue("must be a string")
    return value


def check_characters(text: str) -> None:
    """Refuse NUL, which PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot encode."""
    if "\0" in text:
        raise BadValue("NUL is not allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadValue("lone surrogates are not allowed") from None


class WordKind:
    """A kind whose word and JSON string have the same form."""

    def from_word(self, word: str) -> Any:
        raise NotImplementedError

    def from_json(self, value: object) -> Any:
        return self.from_word(_string(value))

    def to_json(self, value: Any) -> Any:
        return str(value)


@dataclass(frozen=True)
class Text(WordKind):
    """Text of `least` to `most` characters (or bytes of UTF-8).

    The length is that of the prepared value, which for names and passwords may differ from the
    input.
    """

    most: int
    least: int = 1
    in_bytes: bool = False
    one_line: bool = False
    """Whether the text is a name: the value is then the result of `precis.clean_name`."""
    seen: bool = False
    """Whether the text must have a visible character; it stays verbatim."""

    def from_word(self, word: str) -> str:
        is_prepared = self.one_line or isinstance(self, Secret)
        if is_prepared and len(word) <= precis.MAX_RAW_FACTOR * self.most:
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
        """Return a name in its stored form.

        Raises:
            BadValue: the name has no visible character, or is not one line.
        """
        name = precis.clean_name(word)
        if word and not name:
            raise BadValue("must be one line of visible text")
        return name


@dataclass(frozen=True)
class Secret(Text):
    """Text that apps mask during input and never store in a history."""

    def prepared(self, word: str) -> str:
        """Return the text unchanged: only the server knows the form of old passwords."""
        return word


@dataclass(frozen=True)
class NewPassword(Secret):
    """A new password, prepared as OpaqueString (RFC 8265), without control characters."""

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


class UserKind(WordKind):
    """A person's address."""

    def from_word(self, word: str) -> Address:
        if word.startswith("#"):
            raise BadValue("this is a group; groups have commands of their own, such as sendg")
        return Address.parse(word)


class LocalName(WordKind):
    """A name without a realm: of a new account, or of a realm."""

    def from_word(self, word: str) -> str:
        if not values.NAME.fullmatch(word):
            raise BadValue("must be 1 to 32 of A-Z a-z 0-9 . _ -")
        return word


class RealmName(WordKind):
    """The local name of another realm."""

    def from_word(self, word: str) -> str:
        if not values.REALM_NAME.fullmatch(word):
            raise BadValue("must be a realm's name, such as beta or beta~K3F9; see listrealm")
        return word


class GroupKind(WordKind):
    """A group's address; in JSON a bare number is accepted too."""

    def from_word(self, word: str) -> GroupAddress:
        return GroupAddress.parse(word)

    def from_json(self, value: object) -> GroupAddress:
        return GroupAddress.parse(str(value) if type(value) is int else _string(value))


class ConversationKind(WordKind):
    """A person's or a group's address."""

    def from_word(self, word: str) -> values.ConversationAddress:
        return values.parse_conversation(word)


class FileName(WordKind):
    """A file's name; paths and deceptive characters are removed."""

    def from_word(self, word: str) -> str:
        check_characters(word)
        return clean_file_name(word)


@dataclass(frozen=True)
class Base64:
    """Content in base64, as `base64.read` accepts it; content of a fixed size must be canonical.

    The handler checks other sizes, because it can answer `too_large`.
    """

    size: int | None = None
    """Bytes of content, if fixed: of keys and signatures, which programs write."""

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
class Pattern(WordKind):
    """A word of a fixed form, such as a hash."""

    form: re.Pattern[str]
    described: str

    def from_word(self, word: str) -> str:
        if not self.form.fullmatch(word):
            raise BadValue(f"must be {self.described}")
        return word


class PositionsKind:
    """`{conversation: last seq}`, the client's last known position in each; JSON only."""

    def from_word(self, word: str) -> dict[values.ConversationAddress, int]:
        raise BadValue("can be given in JSON only")

    def from_json(self, value: object) -> dict[values.ConversationAddress, int]:
        if not isinstance(value, dict):
            raise BadValue("must be an object of conversation and last seq")
        if len(value) > values.MAX_POSITIONS:
            raise BadValue(f"can name at most {values.MAX_POSITIONS:,} conversations")
        return {
            CONVERSATION.from_json(conversation): SEQ.from_json(seq)
            for conversation, seq in value.items()
        }

    def to_json(self, value: dict[values.ConversationAddress, int]) -> dict[str, int]:
        return {str(conversation): seq for conversation, seq in value.items()}


FLAG: Final = Flag()
USER: Final = UserKind()
LOCAL_NAME: Final = LocalName()
REALM_NAME: Final = RealmName()
GROUP: Final = GroupKind()
CONVERSATION: Final = ConversationKind()
FILE_NAME: Final = FileName()
BASE64: Final = Base64()
POSITIONS: Final = PositionsKind()
MESSAGE_TEXT: Final = Text(values.MAX_TEXT, in_bytes=True, seen=True)
LABEL: Final = Text(values.MAX_LABEL, least=0, in_bytes=True)
KEY: Final = Text(values.MAX_LABEL, in_bytes=True)
IDENTIFIER: Final = Text(128)
NEW_PASSWORD: Final = NewPassword(values.MAX_PASSWORD, values.MIN_PASSWORD)
PASSWORD: Final = Secret(1024)
TOKEN: Final = Secret(128)
ADMIN_CODE: Final = Secret(64)
INVITATION_CODE: Final = Secret(64)
SEQ: Final = Number()
_RFC_6838 = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MEDIA_TYPE: Final = Pattern(re.compile(f"{_RFC_6838}/{_RFC_6838}"), "a media type")
SHA256: Final = Pattern(re.compile(r"[0-9a-f]{64}"), "64 hexadecimal digits in lower case")
