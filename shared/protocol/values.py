"""Values in frames, with their spelling and limits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from shared.protocol.invisible import escaped, with_hidden_shown

MAX_FRAME: Final = 1 << 20
"""Bytes of one WebSocket message in either direction (docs/protocol.md)."""
MAX_TEXT: Final = 16_384
"""Bytes of UTF-8 in one text message."""
MAX_FILE_NAME: Final = 255
"""Bytes of UTF-8 in a file name, after `clean_file_name`."""
MAX_WHOLE_FILE: Final = 512 * 1024
"""Bytes of content that `sendfile` takes in one frame; base64 makes it 683 KiB."""
MAX_LABEL: Final = 64
"""Bytes of a reply label (`id`) and of an idempotency key."""
MAX_NUMBER: Final = 2**53 - 1
"""Largest whole number that every JSON implementation keeps exactly (RFC 8259, section 6)."""
MAX_POSITIONS: Final = 10_000
"""Conversations that one sync may name."""
MAX_GROUP_NAME: Final = 128
MAX_REAL_NAME: Final = 128
MIN_PASSWORD, MAX_PASSWORD = 6, 128
DEFAULT_PAGE, MAX_PAGE = 50, 200

NAME = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
REALM_NAME = re.compile(
    r"(?=.{1,32}\Z)[A-Za-z0-9._-]+(~[A-Za-z0-9]{4}(-[0-9]+)?)?", re.ASCII | re.DOTALL
)
"""The local name of another realm: `beta`, or `beta~K3F9` for a realm that named itself beta and
that nobody here has confirmed. A realm's own name never has a tilde."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""C0 and C1 controls, DEL, and the two Unicode line breaks."""
BIDIRECTIONAL = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""The explicit directional characters of Unicode UAX #9, section 2."""


class BadValue(ValueError):
    """A word or JSON value is invalid; the text gives the reason."""


def fold(name: str) -> str:
    """Return the form in which names are compared: names are ASCII and case is ignored."""
    return name.lower()


@dataclass(frozen=True, slots=True)
class Address:
    """One person: `bob` of this realm, or `bob@beta` of the realm known here as beta."""

    user: str
    realm: str = ""

    @classmethod
    def parse(cls, word: str) -> Address:
        if NAME.fullmatch(word):
            return cls(word)
        user, at, realm = word.partition("@")
        if not NAME.fullmatch(user) or (at and not REALM_NAME.fullmatch(realm)):
            raise BadValue(
                "a name is 1 to 32 of A-Z a-z 0-9 . _ -, with @realm behind it for another realm"
            )
        return cls(user, realm)

    def in_realm(self, realm: str) -> Address:
        """Qualify an unqualified address; a qualified one stays as it is."""
        return self if self.realm else replace(self, realm=realm)

    def without_local_realm(self, home: str) -> Address:
        """Drop the realm if it is this realm's own (folded) name."""
        return replace(self, realm="") if fold(self.realm) == home else self

    def __str__(self) -> str:
        return f"{self.user}@{self.realm}" if self.realm else self.user


@dataclass(frozen=True, slots=True)
class GroupAddress:
    """One group: `#12` hosted by this realm, or `#12@beta` by the realm known here as beta."""

    number: int
    realm: str = ""

    @classmethod
    def parse(cls, word: str) -> GroupAddress:
        digits, at, realm = word.removeprefix("#").partition("@")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
            raise BadValue("a group is written #12 or 12; listgroup shows yours")
        if int(digits) == 0 or (at and not REALM_NAME.fullmatch(realm)):
            raise BadValue("a group is written #12 or 12; listgroup shows yours")
        return cls(int(digits), realm)

    def in_realm(self, realm: str) -> GroupAddress:
        """Qualify an unqualified address; a qualified one stays as it is."""
        return self if self.realm else replace(self, realm=realm)

    def without_local_realm(self, home: str) -> GroupAddress:
        """Drop the realm if it is this realm's own (folded) name."""
        return replace(self, realm="") if fold(self.realm) == home else self

    def __str__(self) -> str:
        return f"#{self.number}@{self.realm}" if self.realm else f"#{self.number}"


ConversationAddress = Address | GroupAddress
"""A conversation as its reader sees it: the other person's address, or the group's."""


def parse_conversation(word: str) -> ConversationAddress:
    """`#12` is a group; everything else, `12` included, is a person's name."""
    return GroupAddress.parse(word) if word.startswith("#") else Address.parse(word)


def in_words(text: str) -> str:
    r"""Make a text of any origin safe to show in a terminal.

    Two spaces follow each line break, so that a text cannot forge a line; tabs stay. Other control
    characters, and those that reorder a line or that nobody sees where they stand, are shown as
    `\x1b`, `\u202e` or `\u200b`.
    """
    if text.isascii():
        return text if text.isprintable() else text.replace("\r\n", "\n").translate(SHOWN)
    return with_hidden_shown(text.replace("\r\n", "\n").translate(SHOWN))


SHOWN = {
    **{
        code: escaped(code)
        for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F))
    },
    **{code: escaped(code) for code in range(0x2066, 0x206A)},
    0x09: "\t",
    0x0A: "\n  ",
}
"""Replacements for characters that could forge a line, reorder it or control a terminal."""
