"""Declared pictures are examined before any program that draws them gets a byte."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from random import Random
from typing import Any

import flet as ft
import pytest
from PIL import Image

from flet_app import files
from flet_app.pictures import MAX_FRAMES, Picture, examine
from shared.client import ChatError, ErrorCode
from shared.protocol.commands.files import GetFile
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import FileInfo, Page
from shared.protocol.commands.private import ListPc, PrivateChats
from shared.protocol.media_types import IMAGES
from tests.flet_app.looking import Open, Window
from tests.flet_app.people import chat, message
from tests.flet_app.png import chunk, header, png

SIZE = (40, 30)
RED = Image.new("RGB", SIZE, (255, 0, 0))


def saved(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    RED.save(file, kind, **options)
    return file.getvalue()


def moving(kind: str, count: int = 5) -> bytes:
    frames = [Image.new("RGB", SIZE, (n % 256, n // 256, 0)) for n in range(count)]
    return saved(kind, save_all=True, append_images=frames)


def jpeg_with_size_of(first: tuple[int, int], then: tuple[int, int]) -> bytes:
    """Return one with two frame headers (ITU T.81, B.2.2), as no decoder takes it."""
    whole = saved("JPEG")
    at = whole.index(b"\xff\xc0")
    length = struct.unpack(">H", whole[at + 2 : at + 4])[0] + 2
    frame = whole[at : at + length]
    sized = [frame[:5] + struct.pack(">HH", high, wide) + frame[9:] for wide, high in (first, then)]
    return whole[:at] + sized[0] + sized[1] + whole[at + length :]


FRAME = b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned by a quarter
BOMB = png(header(20_000, 20_000))
PICTURES = {
    "png": ("image/png", saved("PNG")),
    "jpeg": ("image/jpeg", saved("JPEG")),
    "progressive": ("image/jpeg", saved("JPEG", progressive=True)),
    "turned": ("image/jpeg", saved("JPEG", exif=EXIF)),
    "gif": ("image/gif", saved("GIF")),
    "webp": ("image/webp", saved("WEBP")),
    "lossless": ("image/webp", saved("WEBP", lossless=True)),
    "extended": ("image/webp", saved("WEBP", exif=EXIF)),
    "moving gif": ("image/gif", moving("GIF")),
    "moving webp": ("image/webp", moving("WEBP")),
    "moving png": ("image/png", moving("PNG")),
}
TOO_MUCH = {
    "pixels": BOMB,
    "a second header": png(header(40, 30), header(20_000, 20_000)),
    "jpeg": jpeg_with_size_of((60_000, 60_000), (60_000, 60_000)),
    "a second frame": jpeg_with_size_of((40, 30), (60_000, 60_000)),
    "side": png(header(20_000, 1)),
    "webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6,
    "gif": b"GIF89a\xff\xff\xff\xff\0\0\0" + FRAME + b";",
    "a frame beyond the screen": b"GIF89a\1\0\1\0\0\0\0" + b",\0\0\0\0" + b"\xff" * 4 + FRAME[9:],
    "frames": b"GIF89a\1\0\1\0\0\0\0" + FRAME * 500_000 + b";",
    "frames of a png": png(header(40, 30), chunk(b"acTL", struct.pack(">II", 50_000, 0))),
    "a large animation": png(header(4_000, 4_000), chunk(b"acTL", struct.pack(">II", 50, 0))),
}
NONE = {
    "empty": b"",
    "text": b"hello",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>",
    "bmp": saved("BMP"),
    "html": b"<script>alert(1)</script>",
    "signature": BOMB[:8],
    "cut": BOMB[:20],
    "cut jpeg": saved("JPEG")[:40],
    "no size": png(header(0, 0)),
    "wave": b"RIFF\0\0\0\0WAVEfmt ",
    "gif": b"GIF89a",
    "no frame": b"GIF89a\1\0\1\0\0\0\0;",
    "chunks": BOMB[:8] + header(40, 30) + chunk(b"abCd", b"") * 300_000,
    "markers": b"\xff\xd8" + b"\xff\xfe\0\2" * 1_000_000,
    "packed text": png(header(40, 30), chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 50_000_000))),
}


@pytest.fixture
def look(tmp_path: Path) -> Any:
    def look(content: bytes) -> Picture:
        path = tmp_path / "photo.png"
        path.write_bytes(content)
        return examine(path)

    return look


@pytest.mark.parametrize("kind", PICTURES)
def test_what_a_picture_is_is_known_by_its_header(look: Any, kind: str) -> None:
    type, content = PICTURES[kind]
    found = look(content)
    assert (found.type, found.width, found.height) == (type, *SIZE)
    assert found.is_shown and found.type in IMAGES
    assert (found.frames > 1) == kind.startswith("moving")


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_picture_that_takes_too_much_to_draw_is_known_before(look: Any, kind: str) -> None:
    found = look(TOO_MUCH[kind])
    assert found.type and not found.is_shown
    assert found.frames <= MAX_FRAMES + 1


@pytest.mark.parametrize("kind", NONE)
def test_what_is_no_picture_is_none_whatever_it_is_called(look: Any, kind: str) -> None:
    assert look(NONE[kind]) == Picture()


@pytest.mark.parametrize("seed", range(10))
def test_no_damage_is_a_bug(look: Any, seed: int) -> None:
    chance = Random(seed)
    for _ in range(200):
        content = bytearray(chance.choice(list(PICTURES.values()))[1])
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(min(len(content), 80))] = chance.randrange(256)
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        look(bytes(content))


# In a chat


def info(name: str, content: bytes, type: str = "image/png") -> FileInfo:
    return FileInfo(f"f_{name}", name, len(content), type, "0" * 64)


async def opened(window: Open, contents: dict[str, bytes], **script: Any) -> Window:
    """Open a chat with these files in it."""
    sent = [
        message(n, file=info(name, content), text="")
        for n, (name, content) in enumerate(contents.items(), start=1)
    ]
    rows = PrivateChats([chat("bob", len(sent), len(sent))])
    answers: Any = {ListPc: lambda _: rows, History: lambda _: Page("bob", sent, False)}
    w: Window = await window({**answers, **script.get("answers", {})})
    w.host.last.contents.update({f"f_{name}": content for name, content in contents.items()})
    await w.open("bob")
    return w


def pictures(w: Window) -> list[Any]:
    return [c.src for c in w.unseen.shown() if isinstance(c, ft.Image)]


async def test_a_small_file_of_400_million_pixels_was_drawn_by_everybody(window: Open) -> None:
    contents = {"bomb.png": BOMB, "lies.png": saved("JPEG"), "notes.png": b"hello"}
    contents["long.png"] = TOO_MUCH["frames of a png"]
    w = await opened(window, contents)
    await w.sees("20,000 × 20,000 pixels, too many to be shown")
    await w.sees("This picture cannot be shown")
    await w.sees("This animation is too large to be shown")
    await w.unseen.until(lambda: pictures(w) == ["shown:lies.png image/jpeg"])
    for name in contents:
        await w.press(f"Save {name}")
    assert w.unseen.calls.count("launch_url") == 4


async def test_an_enlarged_picture_is_one_that_may_be_shown(window: Open) -> None:
    w = await opened(window, {"a.png": saved("PNG")})
    await w.unseen.until(lambda: len(pictures(w)) == 1)
    await w.press("Enlarge a.png")
    assert pictures(w) == 2 * ["shown:a.png image/png"]


async def test_a_picture_still_on_its_way_from_another_realm_never_came(
    window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "RETRY_SECONDS", 0.01)
    refusals = 2 * [ChatError(ErrorCode.UNAVAILABLE, "a.png is still on its way from beta")]
    answers = {GetFile: lambda _: refusals.pop() if refusals else None}
    w = await opened(window, {"a.png": saved("PNG")}, answers=answers)
    await w.unseen.until(lambda: len(pictures(w)) == 1)


async def test_a_picture_that_is_refused_for_good_is_not_asked_for_again(window: Open) -> None:
    asked: list[GetFile] = []

    def refuse(request: GetFile) -> ChatError:
        asked.append(request)
        return ChatError(ErrorCode.UNKNOWN_FILE, "gone")

    w = await opened(window, {"a.png": saved("PNG")}, answers={GetFile: refuse})
    await w.unseen.until(lambda: bool(asked))
    w.tell()
    await w.press("Save a.png")
    await w.sees("gone")
    assert len(asked) == 2
