"""What a file that says it is a picture is, before any program that draws it gets a byte of it.

A file of some kB can have 400 million pixels, which take 1.5 GB in the browser of everybody who
has the chat open. So its header is read first, by Pillow, which decodes nothing for that. What a
file is called, and what its sender says it is, counts for nothing.
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
"""104 MB once drawn; photos of phones have up to 25 million."""
MAX_SIDE = 16_384
"""Pixels; what is longer no graphics card draws at once."""
MAX_FRAMES = 1_000
MAX_MOVING_PIXELS = 4_000_000
"""Of each frame of an animation, as each is drawn anew."""

MAX_PARTS = 50_000
"""Read from a file before its size is known."""

_KINDS: dict[bytes, tuple[str, Callable[[BinaryIO, str], ImageFile]]] = {
    b"\x89PNG\r\n\x1a\n": ("image/png", PngImageFile),
    b"\xff\xd8\xff": ("image/jpeg", JpegImageFile),
    b"GIF87a": ("image/gif", GifImageFile),
    b"GIF89a": ("image/gif", GifImageFile),
    b"RIFF": ("image/webp", WebPImageFile),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file is."""

    type: str = ""
    """One of `media_types.IMAGES`; empty: it is none of them, or damaged."""
    width: int = 0
    height: int = 0
    """Pixels; 0: far more than MAX_PIXELS."""
    frames: int = 1
    """Of an animation; MAX_FRAMES + 1 stands for more."""

    @property
    def is_shown(self) -> bool:
        """Whether it may be drawn without being asked for."""
        pixels = self.width * self.height
        most = MAX_PIXELS if self.frames == 1 else MAX_MOVING_PIXELS
        side = max(self.width, self.height)
        return 0 < pixels <= most and side <= MAX_SIDE and self.frames <= MAX_FRAMES


def examine(path: Path) -> Picture:
    """Return what a file is by its content; it may take some ms, and reads the whole file at most.

    Raises:
        OSError: it cannot be read.
    """
    with _Parts(io.FileIO(path)) as file:
        start = file.read(8)
        for magic, (type, reader) in _KINDS.items():
            if start.startswith(magic):
                file.seek(0)
                return _examine(file, type, reader)
    return Picture()


class _Parts(io.BufferedReader):
    """A file of which no more than MAX_PARTS are read: some MiB can hold a million empty ones."""

    parts = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise ValueError("too many parts")
        return super().read(size)


def _examine(file: BinaryIO, type: str, reader: Callable[[BinaryIO, str], ImageFile]) -> Picture:
    try:
        if type == "image/gif":
            return _gif(file)
        picture = reader(file, "")
        # A JPEG may hold small copies of itself, which nobody shows.
        frames = 1 if type == "image/jpeg" else int(getattr(picture, "n_frames", 1))
        return Picture(type, *picture.size, min(frames, MAX_FRAMES + 1))
    except DecompressionBombError:
        return Picture(type)
    except Exception:  # whatever bytes can bring about in a reader of formats
        return Picture()


def _gif(file: BinaryIO) -> Picture:
    """Go from block to block (GIF89a, appendix B), as Pillow counts frames without a bound.

    Browsers enlarge the screen to hold the first frame, so the greatest extent of all counts.
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
            case _:  # its end, or of what came of it
                break
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return Picture("image/gif", width, height, frames) if frames and width and height else Picture()


def _pass_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, 1)
