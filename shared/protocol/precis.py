"""Preparation of names, texts and passwords for comparison and display.

Follows PRECIS (RFC 8264 to 8266), but is more lenient where people would not understand a refusal:
emoji are allowed in names.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category, normalize

from shared.protocol.invisible import BLANKS, EMPTY, IGNORABLE, without_stray_tags
from shared.protocol.values import BIDIRECTIONAL, CONTROLS, BadValue

_UNSEEN = f" \t-\r{BLANKS}{IGNORABLE}{EMPTY}"

_AROUND: Final = " \t\r\n\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Characters stripped from both ends of a name: blanks, and the line end that terminals send."""
_PERHAPS_SEEN: Final = re.compile(f"[^{_UNSEEN}]")
_OTHER_BLANK: Final = re.compile(f"[{BLANKS}]")
_DROPPED: Final = re.compile(
    "[\u00ad\u034f\u061c\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufffb\ufffc"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff"
    "\U000e01f0-\U000e0fff]"
)
"""Characters removed from names: invisible, and needed by no script or emoji. Joiners, Hangul
fillers and variation selectors stay, and the tags of flags."""
_JOINERS: Final = re.compile("[\u200c\u200d]+")
MAX_MARKS: Final = 6
"""Combining marks on one letter of a name; Hebrew, Tibetan and Vietnamese need at most five."""
MAX_RAW_FACTOR: Final = 8
"""Factor by which NFC and cleaning may shorten a name; longer input is refused unseen."""


def shows_something(text: str) -> bool:
    """Whether a text has a visible character.

    Marks without a letter do not count. Control characters do: the text dialect shows them as
    `\\x01`.
    """
    if "!" <= text[:1] <= "~":  # the common case, checked first because each message passes here
        return True
    return any(category(found[0])[0] != "M" for found in _PERHAPS_SEEN.finditer(text))


def clean_name(name: str) -> str:
    """Return the name of a person, group, country or host in its stored form.

    The result is in NFC (RFC 8266, section 2.1), without surrounding blanks and invisible
    characters, and with at most MAX_MARKS marks on a letter. It may be empty.

    Raises:
        BadValue: the name has line breaks or other controls, or changes the direction of the line.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    name = without_stray_tags(_DROPPED.sub("", name)).strip(_AROUND)
    if CONTROLS.search(name) or BIDIRECTIONAL.search(name):
        raise BadValue("must be one line of visible text")
    joined = _without_stray_joiners(normalize("NFC", name))
    name = _bounded_marks(normalize("NFC", joined)).strip(_AROUND)
    return name if shows_something(name) else ""


def tamed_name(name: str, otherwise: str) -> str:
    """Return a cleaned form of a name that another realm has accepted; never refuses.

    Args:
        otherwise: The replacement for a name of which nothing is left.
    """
    return clean_name(BIDIRECTIONAL.sub("", CONTROLS.sub("", name))) or otherwise


def _bounded_marks(name: str) -> str:
    """Return a name with at most MAX_MARKS marks on a letter."""
    kept, marks = [], 0
    for letter in name:
        if (sort := category(letter)) in ("Mn", "Me"):
            marks += 1
        elif sort != "Cf":
            marks = 0
        if marks <= MAX_MARKS or sort == "Cf":
            kept.append(letter)
    return "".join(kept)


def _without_stray_joiners(name: str) -> str:
    """Return a name with joiners only where they have an effect (RFC 5892, A.1)."""

    def judged(found: re.Match[str]) -> str:
        beside = (name[: found.start()][-1:], name[found.end() :][:1])
        return found[0] if all(one > "\x7f" and not one.isspace() for one in beside) else ""

    return _JOINERS.sub(judged, name)


def password(typed: str) -> str:
    """Return a password prepared as OpaqueString (RFC 8265, section 4.2.1).

    All blanks become U+0020, and the result is in NFC; nothing is removed. So the same keys give
    the same password on every keyboard. The caller has to refuse control characters, which some old
    passwords contain.
    """
    if typed.isascii():
        return typed
    return normalize("NFC", _OTHER_BLANK.sub(" ", typed))
