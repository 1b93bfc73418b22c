"""Rule of backup, restore and export: what they make is there whole, or not at all."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.admin.command import admin, done, refusal
from tests.admin.realms import leftovers, people, tables
from tests.mounting import mounted
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer
from tests.system.transfers import end

MESSAGES = 80_000
BOB = ("user", "add", "bob", "--real-name", "B", "--country", "P", "--create")


def fill(data: Path, count: int) -> None:
    """Give bob so many notes to himself."""
    with closing(sqlite3.connect(data / "chat.db")) as connection:
        connection.execute(
            "INSERT INTO conversations (id, low_user, high_user, last_seq, version, created) "
            "VALUES (1, 1, 1, ?, 0, 1700000000000)",
            (count,),
        )
        connection.execute("INSERT INTO members VALUES (1, 1, 0, 0, 0, 0, 0, 0)")
        connection.execute(
            """
            WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
            INSERT INTO messages (conversation_id, seq, id, sender_id, time, text)
            SELECT 1, seq, 'm_' || seq, 1, 1700000000000 + seq, printf('%064d', seq) FROM n
            """,
            (count,),
        )
        connection.commit()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed realm that takes a while to read and to write."""
    folder = tmp_path_factory.mktemp("large") / "data"
    done(*BOB, data=folder, input="secret-bob")
    fill(folder, MESSAGES)
    return folder


@pytest.fixture(scope="module")
def archive(data: Path) -> Path:
    path = data.parent / "realm.tar"
    done("backup", path, data=data)
    return path


def started(*words: str | Path, data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*EXECUTED, "admin", *map(str, words), "--data", str(data)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def halted(process: subprocess.Popen[bytes], begun: Callable[[], bool]) -> None:
    """Halt a command in the middle of its work: once it has begun to write, before it is done."""
    deadline = time.monotonic() + 30
    while not begun():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def part_of(folder: Path, name: str) -> Callable[[], bool]:
    """Tell whether a part of a file is there with something in it."""
    return lambda: any(p.stat().st_size > 1_000_000 for p in folder.glob(f".{name}.*.part"))


def database_of(folder: Path, name: str) -> Callable[[], bool]:
    """Tell whether a database grows in a part of a folder."""
    pattern = f".{name}.*.part/chat.db-wal"
    return lambda: any(p.stat().st_size > 1_000_000 for p in folder.glob(pattern))


def ended(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    """End a halted command and return its exit code."""
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=30)
    assert b"Traceback" not in errors
    return process.returncode


async def test_a_backup_in_the_middle_holds_up_nobody_and_is_of_one_moment(
    tmp_path: Path, data: Path
) -> None:
    server = RealServer(tmp_path)
    done(*BOB, data=server.data, input="secret-bob")
    fill(server.data, MESSAGES)
    server.start()
    try:
        (bob,) = await people(server.url, "bob")
        process = started("backup", tmp_path / "x.tar", data=server.data)
        halted(process, part_of(tmp_path, "x.tar"))
        for number in range(100):
            assert (await bob.ask("send", to="bob", text="x"))["seq"] == MESSAGES + 1 + number
        ana = await RawClient.signed_in(server.url, "ana")
        done("user", "disable", "ana", data=server.data)
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        assert (await bob.ask("send", to="bob", text="x"))["seq"] == MESSAGES + 101
        await end(bob, ana)
    finally:
        server.kill()
    done("restore", tmp_path / "x.tar", data=tmp_path / "new")
    found = tables(tmp_path / "new" / "chat.db")
    assert (len(found["messages"]), len(found["users"])) == (MESSAGES, 1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("words", [("backup", "x.out"), ("export", "bob", "x.out")])
def test_a_file_that_is_interrupted_leaves_the_old_one(
    tmp_path: Path, data: Path, words: tuple[str, ...], how: signal.Signals
) -> None:
    path = tmp_path / "x.out"
    path.write_text("the old one")
    process = started(*words[:-1], path, data=data)
    begun = part_of(tmp_path, "x.out")
    if words[0] == "export":  # it is small, as it is compressed
        begun = lambda: any(tmp_path.glob(".x.out.*.part"))  # noqa: E731
    halted(process, begun)
    assert ended(process, how) != 0
    assert path.read_text() == "the old one"
    assert len(leftovers(tmp_path, "x.out")) == (how is signal.SIGKILL)
    done(*words[:-1], path, data=data)
    assert path.stat().st_size > 500_000


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_restore_that_is_interrupted_leaves_no_realm(
    tmp_path: Path, archive: Path, how: signal.Signals
) -> None:
    new = tmp_path / "new"
    process = started("restore", archive, data=new)
    halted(process, database_of(tmp_path, "new"))
    assert ended(process, how) != 0
    assert not new.exists()
    left = leftovers(tmp_path)
    assert len(left) == (how is signal.SIGKILL)
    for name in left:
        # Nor is what was killed taken for one, should somebody name it.
        assert tables(tmp_path / name / "chat.db") == {}
    done("restore", archive, data=new)
    assert len(tables(new / "chat.db")["messages"]) == MESSAGES


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed realm with hardly anything, beside its backup."""
    folder = tmp_path_factory.mktemp("small")
    done(*BOB, data=folder / "data", input="secret-bob")
    fill(folder / "data", 10)
    done("backup", folder / "realm.tar", data=folder / "data")
    return folder


@pytest.mark.parametrize(
    "command, moment, how",
    [
        ("export", "zip half made", "SIGTERM"),
        ("export", "entry half made", "SIGINT"),
        ("backup", "first entry", "SIGTERM"),
        ("backup", "archive whole", "SIGINT"),
        ("restore", "first read", "SIGTERM"),
    ],
)
def test_an_interrupt_in_the_middle_of_a_step_left_complaints_of_what_was_half_made(
    tmp_path: Path, small: Path, command: str, moment: str, how: str
) -> None:
    """`Exception ignored in: <function ZipFile.__del__ ...>`, or a traceback."""
    words = {
        "export": ["export", "bob", tmp_path / "x", "--data", small / "data"],
        "backup": ["backup", tmp_path / "x", "--data", small / "data"],
        "restore": ["restore", small / "realm.tar", "--data", tmp_path / "x"],
    }[command]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.admin.interrupted", moment, how, "admin", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "Given up\n")
    assert leftovers(tmp_path) == []


def test_an_interrupt_that_comes_too_late_does_not_say_that_nothing_was_done(
    tmp_path: Path, small: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.admin.interrupted", "noting", "SIGINT"]
        + ["admin", "backup", str(tmp_path / "x"), "--data", str(small / "data")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout[:6], ran.stderr) == (0, "Wrote ", "")
    assert leftovers(tmp_path) == ["x"]


def test_a_restore_does_not_take_a_folder_that_came_to_be_used(
    tmp_path: Path, archive: Path
) -> None:
    new = tmp_path / "new"
    process = started("restore", archive, data=new)
    halted(process, database_of(tmp_path, "new"))
    done(*BOB, data=new, input="secret-bob")
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, b"not empty" in errors) == (1, True), errors
    assert done("user", "list", data=new).startswith("bob")
    assert leftovers(tmp_path, "new") == []


def test_a_restore_goes_nowhere_where_there_is_something(
    real_server: RealServer, archive: Path, tmp_path: Path
) -> None:
    used = real_server.data
    before = sorted(path.name for path in used.iterdir())
    assert "A server runs on" in refusal("restore", archive, data=used)
    assert real_server.stop() == 0
    assert "holds a realm already" in refusal("restore", archive, data=used)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("x")
    assert "is not empty" in refusal("restore", archive, data=tmp_path / "full")
    assert "is not a folder" in refusal("restore", archive, data=tmp_path / "full" / "letter.txt")
    assert set(before) - {path.name for path in used.iterdir()} <= {
        *("admin.sock", "chat.db-shm", "chat.db-wal")
    }
    assert leftovers(tmp_path, "data", "server.log", "full") == []
    real_server.start()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    if sys.platform != "linux":
        pytest.skip("only Linux has memory disks of a fixed size")
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=3m", "none"):
        yield tmp_path / "small"


def test_a_full_disk_leaves_nothing(small_disk: Path, data: Path, archive: Path) -> None:
    old = small_disk / "old"
    old.write_text("the old one")
    (small_disk / "ballast").write_bytes(bytes(2_700_000))
    assert "No space left" in refusal("backup", old, data=data)
    assert "No space left" in refusal("export", "bob", old, data=data)
    why = refusal("restore", archive, data=small_disk / "new")
    assert "No space left" in why or "full" in why
    assert (old.read_text(), leftovers(small_disk, "old", "ballast")) == ("the old one", [])
    assert "is a mount point" in refusal("restore", archive, data=mount_alone(small_disk))


def mount_alone(disk: Path) -> Path:
    """Empty a disk and return its folder."""
    for path in disk.iterdir():
        path.unlink()
    return disk


@pytest.mark.parametrize("fault", ["missing", "damaged", "cut"])
@pytest.mark.parametrize("words", [("backup",), ("export", "bob")])
async def test_a_lost_content_is_named_and_nothing_is_written(
    real_server: RealServer, tmp_path: Path, words: tuple[str, ...], fault: str
) -> None:
    (bob,) = await people(real_server.url, "bob", register=True)
    await bob.ask("sendfile", to="bob", name="x", data="aGVsbG8=")
    await bob.close()
    (blob,) = (real_server.data / "blobs").glob("*/*")
    if fault == "missing":
        blob.unlink()
    else:
        blob.write_bytes(b"hullo" if fault == "damaged" else b"hell")
    why = refusal(*words, tmp_path / "x", data=real_server.data)
    assert blob.name in why
    assert leftovers(tmp_path, "data", "server.log") == []


def test_a_place_that_cannot_be_used_is_named(data: Path, archive: Path, tmp_path: Path) -> None:
    assert "is a folder" in refusal("backup", tmp_path, data=data)
    nowhere = tmp_path / "nowhere" / "x.tar"
    assert f"{nowhere} was not written: No such" in refusal("backup", nowhere, data=data)
    long = tmp_path / ("x" * 300)
    assert "name too long" in refusal("export", "bob", long, data=data)
    assert "name too long" in refusal("restore", archive, data=long)
    assert "name too long" in refusal("backup", tmp_path / "x.tar", data=long)
    assert leftovers(tmp_path) == []


def test_a_folder_without_a_realm_is_neither_backed_up_nor_made_one(tmp_path: Path) -> None:
    for words in (("backup", "x.tar"), ("export", "bob", "x.zip")):
        assert "holds no realm" in refusal(*words, data=tmp_path / "nowhere")
    (tmp_path / "data" / "blobs").mkdir(parents=True)
    for words in (("backup", tmp_path / "x"), ("export", "bob", tmp_path / "x")):
        assert "holds no realm" in refusal(*words, data=tmp_path / "data")
    assert leftovers(tmp_path, "data") == []
    assert leftovers(tmp_path / "data", "blobs") == []


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done(*BOB, data=data, input="secret-bob")
    with closing(sqlite3.connect(data / "chat.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = tables(data / "chat.db")
    for words in (("backup",), ("export", "bob")):
        assert "newer version" in refusal(*words, tmp_path / "x", data=data)
    assert tables(data / "chat.db") == before
    assert leftovers(tmp_path, "data") == []


def test_a_backup_needs_no_way_to_write_in_the_data_folder(tmp_path: Path, archive: Path) -> None:
    """When the last backup was made is not noted then."""
    data = tmp_path / "data"
    done(*BOB, data=data, input="secret-bob")
    (data / "last-backup").mkdir()
    assert admin("backup", tmp_path / "x.tar", data=data).returncode == 0
    assert list(data.glob(".*.part")) == []
