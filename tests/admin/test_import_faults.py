"""An import that is cut off or fed with nonsense: all or nothing, and a line for each fault.

`CHAT_IMPORT_ROUNDS=100` kills more often; `CHAT_IMPORT_SEED` repeats the choices of a run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.protocol.values import BadValue
from tests.admin.command import admin, done
from tests.admin.oldfolder import OldFolder, counts, crowd, file, history, text
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer
from tests.system.test_store_faults import mounted
from ws_server.admin import old_data

ROUNDS = int(os.environ.get("CHAT_IMPORT_ROUNDS", "2"))
SEED = int(os.environ.get("CHAT_IMPORT_SEED", "0")) or time.time_ns() % 1_000_000
PEOPLE, MESSAGES = 30, 4_000
ALL = (PEOPLE, 5, MESSAGES + 5, 5, 0)


def begin(old: OldFolder, data: Path) -> subprocess.Popen[str]:
    """Begin an import in a process of its own."""
    return subprocess.Popen(
        [*EXECUTED, "admin", "import-json", "--create", old.path, "--data", data],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def people(data: Path) -> int:
    """Return how many accounts there are, but for the one made before."""
    return len(done("user", "list", data=data).splitlines()) - 1


async def assert_whole(server: RealServer) -> None:
    """Everything of `crowd` is there once."""
    client = await RawClient.open(server.url)
    await client.ask("auth", user="user0", password="secret-user0")
    found = 0
    for group in range(1, 6):
        found += len(await history(client, f"#{group}"))
    for n in range(5):
        await client.ask("auth", user=f"user{n}", password=f"secret-user{n}")
        found += len(await history(client, f"user{n + 1}"))
    assert found == MESSAGES + 5
    await client.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["closed realm", "command", "server"])
async def test_killed_at_any_moment_it_leaves_all_or_nothing(tmp_path: Path, victim: str) -> None:
    print(f"CHAT_IMPORT_SEED={SEED}")
    chance = random.Random(SEED)
    old = crowd(tmp_path / "old", PEOPLE, MESSAGES)
    server = RealServer(tmp_path)
    try:
        server.start()
        await (await RawClient.signed_in(server.url, "rosa")).close()
        if victim == "closed realm":
            server.stop()
        begun = time.monotonic()
        done("import-json", "--create", old.path, data=tmp_path / "measured")
        whole = time.monotonic() - begun
        for _ in range(ROUNDS):
            running = begin(old, server.data)
            await asyncio.sleep(chance.uniform(0.2, 1.1) * whole)
            if victim == "server":
                server.kill()
                assert running.wait(60) in (0, 1)
                server.start()
            else:
                running.kill()
                running.wait()
            said = "".join(running.communicate())
            assert "Traceback" not in said, said
            assert people(server.data) in (0, PEOPLE)
        said = done("import-json", "--create", old.path, data=server.data)
        assert people(server.data) == PEOPLE
        assert counts(said) == ALL or "Nothing new" in said
        assert counts(done("import-json", "--create", old.path, data=server.data)) == (
            0,
            0,
            0,
            0,
            0,
        )
        if victim == "closed realm":
            server.start()
        await assert_whole(server)
        assert "Traceback" not in server.log
    finally:
        server.kill()


def spoken(count: int) -> bytes:
    """Return what the command says to the server to import some users, to its end."""
    request = orjson.dumps({"command": "import-json", "given": {"folder": "old"}})
    body = orjson.dumps({"nama": "x", "negara": "x", "password": "secret"})
    parts = []
    for number in range(count):
        name = f"users/cut{number}.json"
        head = orjson.dumps({"part": name, "size": len(body), "fault": ""})
        parts += [head, b"\n", body]
    return b"".join((request, b"\n", *parts, b"\n"))


async def speak(server: RealServer, words: bytes) -> None:
    """Say something at the admin socket and be gone."""
    _, writer = await asyncio.open_unix_connection(server.data / "admin.sock")
    writer.write(words)
    writer.close()
    await writer.wait_closed()


def wait_for_line(server: RealServer, words: str) -> None:
    """Wait until the server has logged something."""
    deadline = time.monotonic() + 30
    while words not in server.log:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_command_cut_off_at_any_byte_changes_nothing(real_server: RealServer) -> None:
    """A kill amid a line once left a traceback in the server's log."""
    words = spoken(1)
    for length in range(60, len(words), 3):
        await speak(real_server, words[:length])
    done("status", data=real_server.data)
    assert done("user", "list", data=real_server.data) == ""
    assert "Traceback" not in real_server.log


async def test_a_command_that_dies_once_all_is_said_imports_all(real_server: RealServer) -> None:
    """What the server had to say to nobody once became a traceback in its log."""
    await speak(real_server, spoken(6))
    wait_for_line(real_server, "act=admin ")
    assert len(done("user", "list", data=real_server.data).splitlines()) == 6
    assert "Traceback" not in real_server.log


async def test_interrupted_it_says_so_and_leaves_all_or_nothing(tmp_path: Path) -> None:
    old = crowd(tmp_path / "old", PEOPLE, MESSAGES)
    for moment in (0.8, 1.6):
        running = begin(old, tmp_path / "data")
        await asyncio.sleep(moment)
        running.send_signal(signal.SIGINT)
        said, why = running.communicate(timeout=60)
        if running.returncode != 0:
            assert running.returncode in (130, -signal.SIGINT), why
    root = ("user", "add", "rosa", "--real-name", "Rosa", "--country", "Peru", "--create")
    done(*root, data=tmp_path / "data", input="secret-rosa")
    assert people(tmp_path / "data") in (0, PEOPLE)
    done("import-json", "--create", old.path, data=tmp_path / "data")
    assert people(tmp_path / "data") == PEOPLE


async def test_a_server_that_stops_gives_the_import_up(tmp_path: Path) -> None:
    old = crowd(tmp_path / "old", PEOPLE, MESSAGES)
    server = RealServer(tmp_path)
    try:
        server.start()
        await (await RawClient.signed_in(server.url, "rosa")).close()
        running = begin(old, server.data)
        await asyncio.sleep(1)
        assert server.stop() == 0
        running.wait(60)
        assert "Traceback" not in server.log + "".join(running.communicate())
        server.start()
        assert people(server.data) in (0, PEOPLE)
    finally:
        server.kill()


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


@pytest.mark.parametrize("what", ["messages", "a file"])
async def test_on_a_full_disk_nothing_comes_in_and_all_of_it_later(
    tmp_path: Path, what: str
) -> None:
    if what == "messages":
        old = crowd(tmp_path / "old", PEOPLE, 40_000)
    else:
        old = OldFolder(tmp_path / "old")
        old.user("user0")
        old.private("user0_user0", text("user0", "one"), file("user0", "x", bytes(8 << 20)))
    server = RealServer(tmp_path)
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "size=6m", "none"):
        try:
            server.start()
            root = await RawClient.signed_in(server.url, "rosa")
            ended = admin("import-json", "--create", old.path, data=server.data)
            assert ended.returncode == 1
            assert "run this again" in ended.stderr
            assert people(server.data) == 0
            await root.ask("send", to="rosa", text="people go on")
            enlarge(server.data)
            said = done("import-json", "--create", old.path, data=server.data)
            assert counts(said)[2] == (40_005 if what == "messages" else 2)
            await root.close()
            assert "Traceback" not in server.log
        finally:
            server.kill()


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
    ([], "is no object"),
    (3, "is no object"),
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
