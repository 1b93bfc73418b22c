"""Names under which the client saves files."""

from __future__ import annotations

import pytest

from shared.client.files import local_name, numbered


@pytest.mark.parametrize(
    "name, local",
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\x.dll", "x.dll"),
        ("C:x", "C_x"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        ("a\0b\n.txt", "ab.txt"),
        ("\u202etxt.exe", "txt.exe"),
        ("what?*.txt", "what__.txt"),
        ("trailing. .", "trailing"),
        ("ä" * 127, "ä" * 127),
        ("ä" * 200, "file"),
        (".bashrc", "bashrc"),
        ("..hidden", "hidden"),
        (". .ssh", "ssh"),
        (".", "file"),
        ("...", "file"),
        ("-rf", "_-rf"),
        ("~root", "_~root"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1 .log", "_com1 .log"),
        ("console.txt", "console.txt"),
        ("-" + "ä" * 127, "_-" + "ä" * 126),
    ],
)
def test_a_name_never_leaves_the_folder(name: str, local: str) -> None:
    assert local_name(name) == local


def test_numbered_names_fit_too() -> None:
    assert numbered("a.tar.gz", 1) == "a.tar.gz"
    assert numbered("a.txt", 2) == "a (2).txt"
    assert numbered("README", 3) == "README (3)"
    assert numbered(".profile", 2) == ".profile (2)"
    long = numbered("ä" * 125 + ".txt", 10)
    assert long.endswith("ä (10).txt") and len(long.encode()) <= 255
