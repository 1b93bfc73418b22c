"""Examines a declared picture before any program that draws it gets a byte.

A file of some kB can have 400 million pixels, which take 1.5 GB in the browser of everybody who has
the chat open. So Pillow reads the header first, without decoding. Neither the file's name nor its
declared type is trusted.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_PIXELS = 26_000_000
"""Pixels; 104 MB once drawn. Photos of phones have up to 25 million."""
MAX_SIDE_PIXELS = 16_384
"""Pixels of one side; graphics cards cannot draw longer ones at once."""
MAX_FRAMES = 1_000
MAX_MOVING_PIXELS = 4_000_000
"""Pixels of each frame of an animation, because each is drawn separately."""

MAX_READS = 50_000
"""Reads of a file before its size must be known."""

_KINDS: dict[bytes, tuple[str, Callable[[BinaryIO, str], ImageFile]]] = {
    b"\x89PNG\r\n\x1a\n": ("image/png", PngImageFile),
    b"\xff\xd8\xff": ("image/jpeg", JpegImageFile),
    b"GIF87a": ("image/gif", GifImageFile),
    b"GIF89a": ("image/gif", GifImageFile),
    b"RIFF": ("image/webp", WebPImageFile),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """The result of examining a file."""

    type: str = ""
    """One of `media_types.IMAGES`; empty if the file is none of them, or damaged."""
    width: int = 0
    height: int = 0
    """Pixels; 0 stands for far more than MAX_PIXELS."""
    frames: int = 1
    """Frames of an animation; MAX_FRAMES + 1 stands for more."""

    @property
    def is_shown(self) -> bool:
        """Whether the picture may be drawn by itself."""
        pixels = self.width * self.height
        most = MAX_PIXELS if self.frames == 1 else MAX_MOVING_PIXELS
        side = max(self.width, self.height)
        return 0 < pixels <= most and side <= MAX_SIDE_PIXELS and self.frames <= MAX_FRAMES


def examine(path: Path) -> Picture:
    """Examine a file by its content; takes some ms and reads at most the whole file.

    Raises:
        OSError: the file cannot be read.
    """
    with _BoundedReader(io.FileIO(path)) as file:
        start = file.read(8)
        for magic, (type, reader) in _KINDS.items():
            if start.startswith(magic):
                file.seek(0)
                return _examine(file, type, reader)
    return Picture()


class _BoundedReader(io.BufferedReader):
    """A file with at most MAX_READS reads: some MiB can hold a million empty parts."""

    parts = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.parts += 1
        if self.parts > MAX_READS:
            raise ValueError("too many parts")
        return super().read(size)


def _examine(file: BinaryIO, type: str, reader: Callable[[BinaryIO, str], ImageFile]) -> Picture:
    try:
        if type == "image/gif":
            return _gif(file)
        picture = reader(file, "")
        # A JPEG may hold small copies of itself, which are never drawn.
        frames = 1 if type == "image/jpeg" else int(getattr(picture, "n_frames", 1))
        return Picture(type, *picture.size, min(frames, MAX_FRAMES + 1))
    except DecompressionBombError:
        return Picture(type)
    except Exception:  # noqa: BLE001 - whatever bytes can bring about in a reader of formats
        return Picture()


def _gif(file: BinaryIO) -> Picture:
    """Walk from block to block (GIF89a, appendix B), because Pillow counts frames without a bound.

    Browsers enlarge the canvas to hold the first frame, so the greatest extent counts.
    """
    width, height, flags = struct.unpack("<6xHHB2x", file.read(13))
    _pass_colours(file, flags)
    frames = 0
    while frames <= MAX_FRAMES:
        match file.read(1):
            case b"!":
                file.read(1)
            case b",":
                left, top, wide, high, flags = struct.unpack("<HHHHB", file.read(9))
                width, height = max(width, left + wide), max(height, top + high)
                _pass_colours(file, flags)
                file.read(1)
                frames += 1
            case _:  # the trailer, or the end of a truncated file
                break
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return Picture("image/gif", width, height, frames) if frames and width and height else Picture()


def _pass_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)
