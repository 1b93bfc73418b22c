"""How much msgpack holds, found out before anything is made of it.

A byte of msgpack may become an object of a hundred, nested a thousand deep, and what is made of it
is made at once, on the event loop of everybody. Walking over the heads costs less, and ends early.
"""

from __future__ import annotations

MOST_DEEP = 12
"""Lists and maps within each other."""
LONGEST_TEXT = 128 << 10
"""Bytes of one text."""
LONGEST_KEY = 64
"""Bytes of a key, which always is a text."""
LONGEST_EXTENSION = 64
"""Bytes of a value of Flet's own kinds, such as a duration."""

PLAIN = {
    **{0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8},
    **{0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},
}
"""Bytes behind the head of nil, booleans and numbers."""
TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
LISTS = {0xDC: 2, 0xDD: 4}
MAPS = {0xDE: 2, 0xDF: 4}
"""Bytes of the length that follows the head."""


class TooMuch(Exception):
    """It is not whole, or holds more than it may."""


def check(packed: bytes, begin: int, most: int) -> None:
    """Walk over one value of msgpack without making it.

    Args:
        begin: Where it begins; it must end with `packed`.
        most: Values that it may hold, keys included.

    Raises:
        TooMuch: as it says.
    """
    at, end = begin, len(packed)
    left = most
    # Of each list and map that is open: the values to come, and whether it is a map.
    levels: list[tuple[int, bool]] = []
    coming, is_map = 1, False
    while True:
        while not coming:
            if not levels:
                if at != end:
                    raise TooMuch
                return
            coming, is_map = levels.pop()
        left -= 1
        if left < 0 or at >= end:
            raise TooMuch
        head = packed[at]
        at += 1
        # In a map, keys stand where the number of what is to come is even.
        is_key = is_map and not coming % 2
        coming -= 1
        if 0xA0 <= head <= 0xBF:
            at += head & 0x1F
        elif head in TEXTS:
            length, at = _length(packed, at, TEXTS[head])
            if length > (LONGEST_KEY if is_key else LONGEST_TEXT):
                raise TooMuch
            at += length
        elif is_key:
            raise TooMuch
        elif head <= 0x7F or head >= 0xE0:
            pass
        elif head in PLAIN:
            at += PLAIN[head]
        elif head <= 0x9F or head in LISTS or head in MAPS:
            if head <= 0x9F:
                inner, inside = head & 0x0F, head <= 0x8F
            else:
                inside = head in MAPS
                inner, at = _length(packed, at, (MAPS if inside else LISTS)[head])
            inner *= 2 if inside else 1
            levels.append((coming, is_map))
            if inner > left or len(levels) > MOST_DEEP:
                raise TooMuch
            coming, is_map = inner, inside
        elif head in BYTES:
            length, at = _length(packed, at, BYTES[head])
            at += length
        elif 0xD4 <= head <= 0xD8:
            at += 1 + (1 << (head - 0xD4))
        elif head in EXTENSIONS:
            length, at = _length(packed, at, EXTENSIONS[head])
            if length > LONGEST_EXTENSION:
                raise TooMuch
            at += 1 + length
        else:
            raise TooMuch  # 0xC1 is nothing
        if at > end:
            raise TooMuch


def _length(packed: bytes, at: int, width: int) -> tuple[int, int]:
    """Return the length that stands at a place, and where what follows it begins."""
    return int.from_bytes(packed[at : at + width], "big"), at + width
