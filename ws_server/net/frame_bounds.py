"""Frames read from their headers, before or instead of the library's parser (RFC 6455, 5.2)."""

from __future__ import annotations

from websockets.frames import apply_mask  # type: ignore[attr-defined]

MASK_SIZE = 4
WHOLE_TEXT = 0x81
"""The first byte of a text frame that is a whole message, not compressed."""


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


def small_text(data: bytes | bytearray, start: int) -> tuple[bytes, int] | None:
    """Return the payload of a whole, masked text message below 64 KiB, and the end of its frame.

    None if another frame, or an incomplete one, begins at `start`; the library parses these. Its
    parser takes 4 us a frame, a tenth of the whole path of a message.
    """
    if len(data) - start < 2 + MASK_SIZE or data[start] != WHOLE_TEXT:
        return None
    mask, size = start + 2, data[start + 1] - 0x80
    if size == 126:
        size = data[mask] << 8 | data[mask + 1]
        mask += 2
    elif not 0 <= size < 126:
        return None
    begin = mask + MASK_SIZE
    end = begin + size
    if end > len(data):
        return None
    payload: bytes = apply_mask(data[begin:end], data[mask:begin])
    return payload, end
