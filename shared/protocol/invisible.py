"""Characters that nobody sees, and where they have an effect all the same.

Scripts need joiners and variation selectors behind their letters, emoji need them and tags. Behind
anything else they change what a text says to programs and not what people see.
"""

from __future__ import annotations

import re
from typing import Final

IGNORABLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt), and U+FFF9 to U+FFFB."""
EMPTY: Final = "\u2800\ufffc\U00016fe4\U0001d159"
"""Letters and symbols without ink: the blank Braille pattern, fillers, a note without a head, the
replacement for a missing object."""
BLANKS: Final = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
"""The blanks of category Zs except U+0020."""

_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
"""The flag of a region, such as Scotland: an emoji with tags (UTS #51, ED-14a)."""
_TAGS = "\U000e0001\U000e0020-\U000e007f"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_JOINING = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d"
_MARKS = "\u061c\u200e\u200f"
"""The directional marks; without a letter that is written from right to left they only move signs
to other places."""
_TAG: Final = re.compile(f"({_FLAG})|[{_TAGS}]")
_HIDDEN: Final = re.compile(
    f"({_FLAG}"
    f"|(?<=[^\0-\x7f{BLANKS}{IGNORABLE}])(?:[{_SELECTORS}][{_JOINING}]?|[{_JOINING}])"
    f"|(?<=[0-9#*])\ufe0f)"
    f"|([{_MARKS}])"
    f"|[{IGNORABLE}]"
)
"""An ignorable character; with a group if it may have an effect: the second one for marks."""
_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)


def without_stray_tags(text: str) -> str:
    """Return a text without tag characters but those of flags."""
    return _TAG.sub(lambda found: found[1] or "", text)


def with_hidden_shown(text: str) -> str:
    r"""Return a text in which ignorable characters without an effect are written as `\u200b`."""

    marks_matter = _RIGHT_TO_LEFT.search(text) is not None

    def shown(found: re.Match[str]) -> str:
        if found[1] or (found[2] and marks_matter):
            return found[0]
        return escaped(ord(found[0]))

    return _HIDDEN.sub(shown, text)


def escaped(code: int) -> str:
    r"""Return a character as `\x1b`, `\u202e` or `\U000e0041`."""
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
