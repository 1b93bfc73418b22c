"""Disks that are full or read-only, missing rights, taken ports: one clear sentence each, and
nothing is left half done."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.sockets import not_listening
from tests.admin.command import admin, done, refusal
from tests.admin.realms import leftovers
from tests.mounting import mounted
from tests.realserver import EXECUTED, ROOT

ADD = ("user", "add", "ana", "--real-name", "A", "--country", "P", "--create")
SERVE = ("--port", "0", "--web-port", "off")
STRANGER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
"""Another account, which is not root."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a realm; its backup is beside it."""
    data = tmp_path_factory.mktemp("good") / "data"
    done(*ADD, data=data, input="secret-ana")
    done("backup", data.parent / "realm.tar", data=data)
    return data


def served(*words: str | Path, data: Path, before: Sequence[str] = ()) -> str:
    """Let a server be refused, and return the one sentence that it says."""
    ended = subprocess.run(
        [*before, *EXECUTED, *SERVE, *map(str, words), "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, ""), ended
    (line,) = ended.stderr.splitlines()
    return line


@contextmanager
def small(folder: Path, left: int) -> Iterator[Path]:
    """A disk of its own with so few KiB left."""
    with mounted(folder, "-t", "tmpfs", "-o", "size=1m", "none"):
        fill = folder / "fill"
        with open(fill, "wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(4096))
        os.truncate(fill, fill.stat().st_size - left * 1024)
        yield folder


def test_a_full_disk_refuses_everything_and_keeps_nothing(good: Path, tmp_path: Path) -> None:
    with small(tmp_path / "disk", 8) as disk:
        assert "make room" in served(data=disk / "data").lower()
        why = refusal(*ADD, data=disk / "new", input="secret-ana")
        assert "full" in why or "No space" in why
        for made in ("data", "new"):
            assert leftovers(disk / made, "lock") == []
        (disk / "old.tar").write_bytes(b"old")
        why = refusal("backup", disk / "old.tar", data=good)
        assert f"{disk / 'old.tar'} was not written: No space left on device. Make room" in why
        assert (disk / "old.tar").read_bytes() == b"old"
        why = refusal("restore", good.parent / "realm.tar", data=disk / "restored")
        assert str(disk / "restored") in why and ".part" not in why
        assert leftovers(disk, "data", "new", "fill", "old.tar") == []


def test_a_disk_without_inodes_is_said_to_lack_them(good: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "nr_inodes=3", "none"):
        disk = tmp_path / "disk"
        assert "no inode left" in served(data=disk / "data")
        assert "no inode left" in refusal("backup", disk / "realm.tar", data=good)
        assert leftovers(disk / "data", "lock") == []


def test_a_read_only_disk_is_named_as_that(good: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "none"):
        disk = tmp_path / "disk"
        shutil.copytree(good, disk / "data")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for data in (disk / "data", disk / "new"):
            assert "Read-only file system. Mount it for writing" in served(data=data)
        for words in (("user", "list"), ("realm", "list")):
            assert "Mount it for writing" in refusal(*words, data=disk / "data")
        for words in (("backup", disk / "x"), ("export", "ana", disk / "x")):
            assert "Mount it for writing" in refusal(*words, data=good)
        assert "Mount it for writing" in refusal(
            "restore", good.parent / "realm.tar", data=disk / "restored"
        )
        # What only reads works.
        done("backup", tmp_path / "realm.tar", data=disk / "data")
        done("export", "ana", tmp_path / "ana.zip", data=disk / "data")
        assert "Mount its file system read-write" in admin("doctor", data=disk / "data").stdout


def test_a_folder_that_is_a_file_is_named_as_that(good: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert "A file is there; name a folder" in served(data=file)
    assert "name a folder" in served(data=file / "data")
    for words in (("user", "list"), ("backup", tmp_path / "x"), ("doctor",), ADD[:-1]):
        assert "holds no realm; name its data folder" in refusal(*words, data=file, input="x")
    assert "is not a folder" in refusal("restore", good.parent / "realm.tar", data=file)
    assert "name a file" in refusal("restore", tmp_path, data=tmp_path / "new")
    assert leftovers(tmp_path, "file") == []


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda data: os.chown(data, 0, 0), ""),
        (lambda data: os.chmod(data / "lock", 0o400), "lock"),
        (lambda data: os.chmod(data / "realm.key", 0), "realm.key"),
        (lambda data: os.chmod(data / "blobs", 0o500), "blobs"),
        (lambda data: os.chmod(data / "chat.db", 0), "chat.db"),
        (lambda data: os.chmod(data / "chat.db", 0o400), "chat.db"),
    ],
    ids=["folder", "lock", "key", "blobs", "database", "read-only database"],
)
def test_missing_rights_are_refused_with_the_path_and_what_to_do(
    good: Path, tmp_path: Path, spoil: object, named: str
) -> None:
    if os.geteuid() != 0 or shutil.which(STRANGER[0]) is None:
        pytest.skip("only root becomes somebody else")
    for above in (tmp_path, *tmp_path.parents[:-2]):
        above.chmod(above.stat().st_mode | 0o055)
    data = shutil.copytree(good, tmp_path / "data")
    data.chmod(0o700)
    for path in (data, *data.rglob("*")):
        os.chown(path, 65_534, 65_534)
    assert callable(spoil)
    spoil(data)
    why = served(data=data, before=STRANGER)
    assert str(data / named) in why
    assert "this account" in why.lower()


def test_what_cannot_be_listened_on_is_said_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        why = served("--port", port, data=tmp_path / "data")
    assert f"--host localhost --port {port}: Address already in use. Another program" in why
    why = served("--host", "203.0.113.9", data=tmp_path / "data")
    assert "Cannot assign requested address. This machine has no such address" in why
    why = served("--host", "nowhere.invalid", data=tmp_path / "data")
    assert "Give an address of this machine" in why


def test_a_port_that_is_root_s_is_said_to_be(tmp_path: Path) -> None:
    refused = OSError(errno.EACCES, "error while attempting to bind on address: permission denied")
    assert not_listening(refused).startswith("Permission denied. Ports below 1024 are root's")


def test_a_machine_without_ipv6_serves_localhost(tmp_path: Path) -> None:
    script = (
        "ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
        f"&& exec timeout --preserve-status -s TERM 8 {' '.join(EXECUTED)} --port 0 --web-port 0 "
        f"--data {tmp_path / 'data'}"
    )
    ended = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    if "event=serving" not in ended.stderr and "unshare" in ended.stderr + "sysctl":
        if "Realm" not in ended.stdout and "Cannot" not in ended.stderr:
            pytest.skip(f"no network of its own is allowed here: {ended.stderr}")
    assert "event=serving" in ended.stderr and "Traceback" not in ended.stderr
