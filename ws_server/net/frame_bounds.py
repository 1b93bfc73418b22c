"""The size of a frame, read from its header before it is parsed (RFC 6455, section 5.2)."""

from __future__ import annotations

MASK_SIZE = 4


def measure(data: bytearray) -> tuple[int, int] | None:
    """Return the bytes of the first frame and of its payload; None if the header is incomplete."""
    if len(data) < 2:
        return None
    size = data[1] & 0x7F
    head = 2 + (MASK_SIZE if data[1] & 0x80 else 0)
    wide = {126: 2, 127: 8}.get(size, 0)
    if wide:
        if len(data) < 2 + wide:
            return None
        size = int.from_bytes(data[2 : 2 + wide], "big")
    return head + wide + size, size


def continues(data: bytearray) -> bool:
    """Return whether the first frame is a continuation frame."""
    return data[0] & 0x0F == 0
