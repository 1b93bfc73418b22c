"""Bounds on msgpack data, checked before it is decoded.

One byte of msgpack may become an object of a hundred bytes, nested a thousand levels deep, and
decoding blocks the event loop that everybody shares. A walk over the heads costs less and can stop
early.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DEPTH = 12
"""Nesting depth of lists and maps."""
MAX_TEXT_BYTES = 128 << 10
"""Bytes of one text."""
MAX_KEY_BYTES = 64
"""Bytes of a key, which must be a text."""
MAX_EXTENSION_BYTES = 64
"""Bytes of a value of Flet's extension types, such as a duration."""

PLAIN, TEXT, EXTENSION, LIST, MAP, NOTHING = range(6)
"""Kinds of values; bytes are plain ones, as numbers are."""
MAX_BYTES = {PLAIN: 2**32, EXTENSION: MAX_EXTENSION_BYTES, TEXT: MAX_TEXT_BYTES, NOTHING: -1}
NUMBERS = {
    **{0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8},
    **{0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},
}
"""Bytes behind the head of nil, booleans and numbers."""
WIDTHS = {
    PLAIN: {0xC4: 1, 0xC5: 2, 0xC6: 4},
    TEXT: {0xD9: 1, 0xDA: 2, 0xDB: 4},
    EXTENSION: {0xC7: 1, 0xC8: 2, 0xC9: 4},
    LIST: {0xDC: 2, 0xDD: 4},
    MAP: {0xDE: 2, 0xDF: 4},
}
"""Bytes of the length that follows a head."""


class BoundExceeded(Exception):
    """The data is incomplete or exceeds a bound."""


class ValueHead(NamedTuple):
    """What the first byte of a value tells of it (the specification of msgpack, "Formats")."""

    kind: int
    length: int
    """Bytes, elements or pairs."""
    width: int = 0
    """Bytes of the length, if it follows."""


_HEADS = {
    **{head: ValueHead(PLAIN, 0) for head in (*range(0x80), *range(0xE0, 0x100))},
    **{head: ValueHead(PLAIN, length) for head, length in NUMBERS.items()},
    **{0x80 | length: ValueHead(MAP, length) for length in range(16)},
    **{0x90 | length: ValueHead(LIST, length) for length in range(16)},
    **{0xA0 | length: ValueHead(TEXT, length) for length in range(32)},
    **{0xD4 + power: ValueHead(EXTENSION, 1 << power) for power in range(5)},
    **{
        head: ValueHead(kind, 0, width)
        for kind, widths in WIDTHS.items()
        for head, width in widths.items()
    },
    0xC1: ValueHead(NOTHING, 0),
}
HEADS = [_HEADS[head] for head in range(256)]


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
        kind, length, width = HEADS[packed[at]]
        at += 1
        if width:
            length = int.from_bytes(packed[at : at + width], "big")
            at += width
        # In a map, keys stand where the number of what is to come is even.
        if is_map and not coming % 2 and (kind != TEXT or length > MAX_KEY_BYTES):
            raise BoundExceeded
        coming -= 1
        if kind in (LIST, MAP):
            levels.append((coming, is_map))
            is_map = kind == MAP
            coming = 2 * length if is_map else length
            if coming > left or len(levels) > MAX_DEPTH:
                raise BoundExceeded
        elif length > MAX_BYTES[kind]:
            raise BoundExceeded
        else:
            at += length + (kind == EXTENSION)  # whose type is a byte
        if at > end:
            raise BoundExceeded
