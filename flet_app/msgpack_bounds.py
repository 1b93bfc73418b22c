"""Bounds on msgpack data, checked before it is decoded.

One byte of msgpack may become an object of a hundred bytes, nested a thousand levels deep, and
decoding blocks the event loop that everybody shares. A walk over the heads costs less and can stop
early.
"""

from __future__ import annotations

MAX_DEPTH = 12
"""Nesting depth of lists and maps."""
LONGEST_TEXT = 128 << 10
"""Bytes of one text."""
LONGEST_KEY = 64
"""Bytes of a key, which must be a text."""
LONGEST_EXTENSION = 64
"""Bytes of a value of Flet's extension types, such as a duration."""

PLAIN = {
    **{0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8},
    **{0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},
}
"""Bytes after the head of nil, booleans and numbers."""
TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
LISTS = {0xDC: 2, 0xDD: 4}
MAPS = {0xDE: 2, 0xDF: 4}
"""Bytes of the length after the head."""


class BoundExceeded(Exception):
    """The data is incomplete or exceeds a bound."""


def check(packed: bytes, begin: int, most: int) -> None:
    """Walk over one msgpack value without decoding it.

    Args:
        begin: Where the value begins; it must end with `packed`.
        most: Maximum number of values, including keys.

    Raises:
        BoundExceeded: the data is incomplete or exceeds a bound.
    """
    at, end = begin, len(packed)
    left = most
    # For each open list and map: the number of values to come, and whether it is a map.
    levels: list[tuple[int, bool]] = []
    coming, is_map = 1, False
    while True:
        while not coming:
            if not levels:
                if at != end:
                    raise BoundExceeded
                return
            coming, is_map = levels.pop()
        left -= 1
        if left < 0 or at >= end:
            raise BoundExceeded
        head = packed[at]
        at += 1
        # In a map, the next value is a key if the number of values to come is even.
        is_key = is_map and not coming % 2
        coming -= 1
        if 0xA0 <= head <= 0xBF:
            at += head & 0x1F
        elif head in TEXTS:
            length, at = _length(packed, at, TEXTS[head])
            if length > (LONGEST_KEY if is_key else LONGEST_TEXT):
                raise BoundExceeded
            at += length
        elif is_key:
            raise BoundExceeded
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
            if inner > left or len(levels) > MAX_DEPTH:
                raise BoundExceeded
            coming, is_map = inner, inside
        elif head in BYTES:
            length, at = _length(packed, at, BYTES[head])
            at += length
        elif 0xD4 <= head <= 0xD8:
            at += 1 + (1 << (head - 0xD4))
        elif head in EXTENSIONS:
            length, at = _length(packed, at, EXTENSIONS[head])
            if length > LONGEST_EXTENSION:
                raise BoundExceeded
            at += 1 + length
        else:
            raise BoundExceeded  # 0xC1 is never used
        if at > end:
            raise BoundExceeded


def _length(packed: bytes, at: int, width: int) -> tuple[int, int]:
    """Return the length at an offset, and the offset behind it."""
    return int.from_bytes(packed[at : at + width], "big"), at + width
