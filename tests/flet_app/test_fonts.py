"""The fonts in our assets are those that the installed Flet's engine asks for."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from flet_web import get_package_web_dir

from flet_app.site import ASSETS

FONTS = ASSETS / "assets" / "fonts"
WANTED = re.compile(r"(noto[a-z0-9]+)/v\d+/[A-Za-z0-9_.-]+\.(?:woff2|ttf)")


@pytest.fixture(scope="module")
def wanted() -> dict[str, set[str]]:
    """The files the engine may ask for, by family."""
    found = defaultdict(set)
    engine = Path(get_package_web_dir()) / "main.dart.js"
    for match in WANTED.finditer(engine.read_text(encoding="utf-8")):
        found[match[1]].add(match[0])
    return found


def test_every_font_that_the_engine_asks_for_is_there(wanted: dict[str, set[str]]) -> None:
    families = {folder.name for folder in FONTS.iterdir() if folder.is_dir()}
    assert {"notocoloremoji", "notosanssc", "notosansarabic", "notosansdevanagari"} <= families
    missing = {
        family: len(lacking)
        for family in families
        if (lacking := {name for name in wanted[family] if not (FONTS / name).is_file()})
    }
    assert missing == {}


def test_there_is_no_font_that_nobody_asks_for(wanted: dict[str, set[str]]) -> None:
    asked = set().union(*wanted.values())
    have = {str(file.relative_to(FONTS)) for file in FONTS.rglob("*.woff2")}
    assert have - asked == set()


def test_the_note_beside_the_fonts_names_each_family_with_its_copyright() -> None:
    note = (FONTS / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \| Noto [^|]+ \| [\d.]+\S* \| [^|]*20\d\d", note, re.MULTILINE)
    assert named == sorted(folder.name for folder in FONTS.iterdir() if folder.is_dir())
