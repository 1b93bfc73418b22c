"""Text from files and pipes of other systems: its encoding and its byte order mark."""

from __future__ import annotations

import codecs

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded(content: bytes | bytearray) -> str:
    """Decode UTF-8 text, without the byte order mark that Windows editors add.

    Raises:
        ValueError: the bytes are not UTF-8; the sentence says what they are.
    """
    if is_utf_16(content):
        raise ValueError("is UTF-16, as Windows writes it; it must be UTF-8, so save it as that")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 (byte {error.start + 1:,}); it must be UTF-8, so save it as that"
        raise ValueError(why) from None


def is_utf_16(content: bytes | bytearray) -> bool:
    """Whether bytes begin as UTF-16 does: with its mark, or an ASCII letter and NUL."""
    head = bytes(content[:2])
    return head in _UTF_16 or (len(head) == 2 and head.count(b"\0") == 1)
