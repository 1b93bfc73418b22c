"""Pictures to send."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

Colour = tuple[int, int, int]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one part of a PNG (RFC 2083, 3.2)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png(*chunks: bytes, rows: bytes = b"\0" * 100) -> bytes:
    """Return a PNG of these chunks, and these rows, which need not fit them."""
    data = chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + data


def write_png(path: Path, width: int, height: int, colour: Callable[[int, int], Colour]) -> Path:
    """Write a PNG whose pixels have the colour of their place."""
    rows = b"".join(
        b"\0" + bytes(part for x in range(width) for part in colour(x, y)) for y in range(height)
    )
    path.write_bytes(png(header(width, height), rows=rows))
    return path
