"""Base64 (RFC 4648): a strict writer, and a lenient reader for pasted content."""

from __future__ import annotations

import binascii
import re

from shared.protocol.values import BadValue

_URL_SAFE = str.maketrans("-_", "+/")
_DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_WRONG = re.compile(r"[^A-Za-z0-9+/=_-]")


def written(content: bytes) -> str:
    """Return content in standard base64, padded and in one line."""
    return binascii.b2a_base64(content, newline=False).decode()


def read_strict(text: str | bytes) -> bytes:
    """Return the content of standard base64 that is padded and in one line.

    Raises:
        BadValue: it is not.
    """
    try:
        if len(text) % 4:  # the library accepts `aGVs=`
            raise ValueError
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise BadValue("must be base64") from None


def read(text: str) -> bytes:
    """Return the content of base64 in any usual form.

    The text may be broken into lines (RFC 2045), use the alphabet for URLs (RFC 4648, section 5),
    lack padding, or be a `data:...;base64,` URL (RFC 2397).

    Raises:
        BadValue: the text is not base64, or has no bytes; the sentence names the error and its
        place.
    """
    try:
        content = read_strict(text)
    except BadValue:
        content = _read_leniently(text)
    if not content:
        raise BadValue("must be base64 of at least one byte")
    return content


def _read_leniently(text: str) -> bytes:
    begin = 0
    if (head := _DATA_URL.match(text)) is not None:
        if not head[0].lower().endswith(";base64,"):
            raise BadValue("must be base64; this data: URL has its content in another form")
        begin = head.end()
    letters = "".join(text[begin:].split()).translate(_URL_SAFE)
    bare = letters.rstrip("=")
    if "=" in bare or _WRONG.search(bare):
        raise _wrong_character(text, begin)
    if len(bare) % 4 == 1:
        raise BadValue(
            f"must be base64; the end is missing, as {len(bare):,} letters are no whole bytes"
        )
    if len(letters) - len(bare) not in (0, -len(bare) % 4):
        raise BadValue("must be base64; it ends in too few or too many =")
    return read_strict(bare + "=" * (-len(bare) % 4))


def _wrong_character(text: str, begin: int) -> BadValue:
    """Return the refusal that names the first invalid character."""
    for at in range(begin, len(text)):
        letter = text[at]
        if letter == "=":
            if "".join(text[at:].split()).strip("="):
                return BadValue(f"must be base64; the = at character {at + 1:,} is not at its end")
        elif not letter.isspace() and _WRONG.match(letter):
            shown = letter if letter.isprintable() else f"U+{ord(letter):04X}"
            return BadValue(f"must be base64; {shown} at character {at + 1:,} is none of its signs")
    raise AssertionError("nothing is wrong")
