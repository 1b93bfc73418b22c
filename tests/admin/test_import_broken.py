"""Old data that is broken: a line for each fault, and the rest comes in.

`CHAT_IMPORT_SEED` repeats the choices of a run.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.protocol.values import BadValue
from tests.admin.command import admin, done
from tests.admin.oldfolder import OldFolder, counts, file, text
from tests.realserver import ROOT
from ws_server.admin import old_data

SEED = int(os.environ.get("CHAT_IMPORT_SEED", "0")) or time.time_ns() % 1_000_000


def nonsense(chance: random.Random) -> bytes:
    """Return something that no file of the old data can be."""
    deep = chance.choice((1_500, 200_000))
    whole = json.dumps({"nama": "x", "members": [], "sender": "y"}).encode()
    return chance.choice(
        (
            b"",
            chance.randbytes(chance.randint(1, 300)) + b"\xff",
            whole[: chance.randint(0, len(whole) - 1)],
            b"[" * deep,
            b'{"a":' * deep,
            b"[" * deep + b"]" * deep,
            b"null",
            b"3" * 6_000,
            b'"\\ud800"',
            b"NaN",
            "{}".encode("utf-16"),
        )
    )


def test_hundreds_of_broken_files_are_each_listed_and_the_rest_comes_in(tmp_path: Path) -> None:
    print(f"CHAT_IMPORT_SEED={SEED}")
    chance = random.Random(SEED)
    old = OldFolder(tmp_path / "old")
    old.user("ana", "bob")
    old.group("1", ["ana"], text("ana", "whole"))
    broken = []
    for number in range(300):
        name = f"{chance.choice(old_data.FOLDERS)}/ana_{number}.json"
        old.write(name, nonsense(chance))
        broken.append(name)
    os.mkfifo(old.path / "users" / "fifo.json")
    (old.path / "users" / "folder.json").mkdir()
    (old.path / "groups" / "outside.json").symlink_to("/etc/passwd")
    (old.path / "groups" / "loop.json").symlink_to("loop.json")
    (old.path / "groups" / "new\nline.json").write_bytes(b"\xff")
    (old.path / "groups" / os.fsdecode(b"\xff.json")).write_bytes(b"{}")
    broken += ["users/fifo.json", "users/folder.json", "groups/outside.json", "groups/loop.json"]
    broken += ["groups/new\\nline.json", "groups/\\udcff.json"]
    said = done("import-json", "--create", old.path, data=tmp_path / "data")
    assert counts(said) == (2, 1, 1, 0, len(broken))
    listed = [line.partition(": ")[0] for line in said.splitlines() if line.endswith("; skipped")]
    assert sorted(listed) == sorted(broken)
    assert "root" not in said  # nothing of what links lead to


@pytest.mark.parametrize("reader", ["cat", "head -n 1"])
def test_names_beyond_the_terminal_and_a_reader_who_stops_do_no_harm(
    tmp_path: Path, reader: str
) -> None:
    old = OldFolder(tmp_path / "old")
    old.user("ana", "ünï")
    old.group("gruppe-ü", ["ana"], *([text("ana", "hi")] + [{}] * 500))
    ended = subprocess.run(
        f"{sys.executable} -m ws_server admin import-json --create {old.path} "
        f"--data {tmp_path}/data | {reader}",
        shell=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert ended.stderr == ""
    assert ended.stdout.startswith("users/\\xfcn\\xef.json: must be 1 to 32")
    assert "Nothing new" in done("import-json", "--create", old.path, data=tmp_path / "data")


def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    old = OldFolder(tmp_path / "old")
    elsewhere = OldFolder(tmp_path / "elsewhere")
    elsewhere.user("eve")
    (old.path / "users").rmdir()
    (old.path / "users").symlink_to(elsewhere.path / "users")
    said = done("import-json", "--create", old.path, data=tmp_path / "data")
    assert counts(said) == (0, 0, 0, 0, 1)
    assert "users: is a symbolic link" in said or "users: Not a directory" in said


ENTRIES: list[tuple[object, str]] = [
    ({}, "is empty"),
    ([], "is not an object"),
    (3, "is not an object"),
    ({"message": "x"}, "sender must be a name"),
    ({"sender": 3, "message": "x"}, "sender must be a name"),
    ({"sender": "eve", "message": "x"}, "the sender eve is not a member"),
    ({"sender": "bob", "message": "x"}, "the sender bob is not a member"),
    ({"sender": "ana\n", "message": "x"}, "the sender ana\\n is not a member"),
    ({"sender": "ana"}, "has neither message nor file"),
    ({"sender": "ana", "message": None}, "has neither message nor file"),
    (text("ana", ""), "message must have 1 to 16,384 bytes"),
    (text("ana", "ü" * 8_193), "message must have 1 to 16,384 bytes"),
    (text("ana", "a\0b"), "message NUL is not allowed"),
    (text("ana", "a\ud800"), "message lone surrogates are not allowed"),
    (text("ana", "\u200b\u3164"), "message shows nothing"),
    ({"sender": "ana", "filename": "\u2800", "file": "YWJj"}, "filename this is no file name"),
    (text("ana", 3), "message must be a string"),
    ({"sender": "ana", "filename": "x", "file": "!!!!"}, "file must be base64"),
    ({"sender": "ana", "filename": "x", "file": ""}, "file must be base64"),
    ({"sender": "ana", "filename": "x", "file": 3}, "file must be its content"),
    ({"sender": "ana", "filename": "x"}, "file must be its content"),
    ({"sender": "ana", "file": "YWJj"}, "filename must be a string"),
    ({"sender": "ana", "filename": "..", "file": "YWJj"}, "filename this is no file name"),
    ({"sender": "ana", "filename": "x" * 256, "file": "YWJj"}, "a file name has at most 255"),
    (file("ana", "big", bytes(2**20 + 1)), "file has more than the 1 MiB of --max-file"),
    ({"sender": "ana", "filename": "big", "file": "A" * 3_000_000}, "1 MiB of --max-file"),
]


def test_each_entry_that_breaks_a_rule_is_listed_with_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = OldFolder(tmp_path / "old")
    old.user("ana", "bob")
    lines = "YWJj\nYWJj\n"  # base64 that was broken into lines is taken
    taken = [text("ana", "whole"), {"sender": "ana", "filename": "x", "file": lines}]
    old.group("1", ["ana"], *(entry for entry, _ in ENTRIES), *taken)
    config = tmp_path / "chat.toml"
    config.write_text("max-file = 1")
    ended = admin("import-json", "--create", old.path, "--config", config, data=tmp_path / "data")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert counts(ended.stdout) == (2, 1, 2, 1, len(ENTRIES))
    said = ended.stdout.splitlines()
    for number, (_, why) in enumerate(ENTRIES, 1):
        (line,) = [line for line in said if line.startswith(f"groups/1.json, entry {number}: ")]
        assert why in line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda some: (
        st.lists(some, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "nama negara password members message_history sender message filename file".split()
            ),
            some,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "read",
    [
        lambda value: old_data.user("ana", value),
        lambda value: old_data.group("1", value),
        lambda value: old_data.chat(value),
        lambda value: list(old_data.messages(value, 1_000)),
    ],
    ids=["user", "group", "chat", "message"],
)
@given(value=JSON)
@settings(max_examples=150, deadline=None)
def test_any_json_is_read_or_refused_with_a_reason(
    read: Callable[[object], object], value: object
) -> None:
    try:
        read(value)
    except BadValue as why:
        assert str(why)


@given(content=st.binary(max_size=60) | st.text('[]{}":,0e\\ud8', max_size=60).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused_with_a_reason(content: bytes) -> None:
    try:
        old_data.load(content)
    except BadValue as why:
        assert str(why)
