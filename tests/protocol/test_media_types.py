"""One table of types, whatever Python or machine a server runs on."""

from __future__ import annotations

import mimetypes

import pytest

from shared.protocol.media_types import _TYPES, IMAGES, UNKNOWN, media_type


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("a.webp", "image/webp"),
        ("a.jfif", "image/jpeg"),
        ("a.avif", "image/avif"),
        ("a.heic", "image/heic"),
        ("a.ogg", "audio/ogg"),
        ("a.opus", "audio/ogg"),
        ("a.m4a", "audio/mp4"),
        ("a.mkv", "video/matroska"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.md", "text/markdown"),
        ("a.7z", "application/x-7z-compressed"),
        ("photo.jpg.gz", "application/gzip"),
        ("archive.tar.gz", "application/gzip"),
        ("photo.jpg.exe", "application/vnd.microsoft.portable-executable"),
        ("PHOTO.JPG", "image/jpeg"),
        ("photo.png.", "image/png"),
        ("photo.png . ", "image/png"),
        ("a b.c.PnG", "image/png"),
        ("photo", UNKNOWN),
        ("png", UNKNOWN),
        (".png", UNKNOWN),
        ("..png", UNKNOWN),
        ("photo.", UNKNOWN),
        ("photo.xyz", UNKNOWN),
        ("photo.png\u202e", UNKNOWN),
        ("", UNKNOWN),
        (".", UNKNOWN),
    ],
)
def test_the_last_extension_decides(name: str, type: str) -> None:
    assert media_type(name) == type


def test_no_file_of_the_machine_changes_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_: ("x/y", None))
    assert media_type("a.png") == "image/png"


def test_every_extension_stands_in_the_table_once() -> None:
    from shared.protocol.media_types import _TABLE

    assert len(_TABLE.split()) == len(_TYPES) + len(set(_TYPES.values()))
    assert set(_TYPES.values()) >= IMAGES
