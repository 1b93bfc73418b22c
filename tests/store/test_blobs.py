"""Rules of blobs: complete or absent, one for equal content, uploads resumed at their offset."""

from __future__ import annotations

import gc
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.contents.blobs import Blobs

CONTENT = b"some content"
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    made = Blobs(tmp_path)
    yield made
    made.close()


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def fail(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_content_is_kept_once_under_its_hash(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.put(CONTENT) == blobs.put(CONTENT) == HASH
    assert everything(tmp_path) == [f"blobs/{HASH[:2]}/{HASH}"]
    assert blobs.read(HASH, 0, 100) == CONTENT
    assert blobs.read(HASH, 5, 3) == CONTENT[5:8]


def test_content_is_synced_before_it_has_its_name(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        steps.append("sync folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "sync file")
        fsync(handle)

    def named(old: Path, new: Path) -> None:
        steps.append("name")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    blobs.put(CONTENT)
    assert steps == ["sync file", "name", "sync folder", "sync folder"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_nothing(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(OSError):
            blobs.put(CONTENT)
    assert everything(tmp_path) == []
    assert blobs.put(CONTENT) == HASH


async def test_a_disk_that_refuses_is_unavailable_to_the_caller(blobs: Blobs) -> None:
    with pytest.raises(ChatError) as refused:
        await blobs.run(fail)
    assert refused.value.code is ErrorCode.UNAVAILABLE


def test_an_upload_goes_on_where_it_was(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.upload_offset("u_1", 12) == 0
    blobs.append("u_1", 0, CONTENT[:5])
    again = Blobs(tmp_path)
    assert again.upload_offset("u_1", 12) == 5
    again.append("u_1", 5, CONTENT[5:])
    assert again.finish("u_1", HASH)
    assert everything(tmp_path) == [f"blobs/{HASH[:2]}/{HASH}"]
    again.close()


def test_a_complete_upload_whose_end_was_not_taken_asks_for_its_last_byte(blobs: Blobs) -> None:
    blobs.append("u_1", 0, CONTENT)
    assert blobs.upload_offset("u_1", len(CONTENT)) == len(CONTENT) - 1
    blobs.append("u_1", len(CONTENT) - 1, CONTENT[-1:])
    assert blobs.finish("u_1", HASH)


def test_a_chunk_the_disk_refused_is_taken_off_again(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.append("u_1", 0, CONTENT[:5])

    class Full:
        """A file on a disk with three bytes left."""

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, 3

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: memoryview) -> int:
            if not self.left:
                fail()
            taken, self.left = self.file.write(content[: self.left]), 0
            return int(taken)

        def truncate(self, size: int) -> None:
            self.file.truncate(size)

    real_open = open
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", lambda *args, **options: Full(real_open(*args, **options)))
        with pytest.raises(OSError):
            blobs.append("u_1", 5, CONTENT[5:])
    assert blobs.upload_offset("u_1", 12) == 5
    blobs.append("u_1", 5, CONTENT[5:])
    assert blobs.finish("u_1", HASH)


def test_an_upload_of_another_hash_is_thrown_away(blobs: Blobs, tmp_path: Path) -> None:
    blobs.append("u_1", 0, b"something else")
    assert not blobs.finish("u_1", HASH)
    assert everything(tmp_path) == []


def test_an_upload_of_content_that_is_here_leaves_one_blob(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put(CONTENT)
    blobs.append("u_1", 0, CONTENT)
    assert blobs.finish("u_1", HASH)
    assert everything(tmp_path) == [f"blobs/{HASH[:2]}/{HASH}"]


def test_the_sweep_removes_what_nothing_refers_to(blobs: Blobs, tmp_path: Path) -> None:
    kept, dropped = blobs.put(b"kept"), blobs.put(b"dropped")
    for upload in ("u_open", "u_gone"):
        blobs.append(upload, 0, b"x")
    (tmp_path / "uploads" / "abc.new").write_bytes(b"half")
    removed = blobs.sweep({"u_open"}, lambda hashes: {dropped} & set(hashes), 0)
    assert removed == 3
    assert everything(tmp_path) == [f"blobs/{kept[:2]}/{kept}", "uploads/u_open"]


def test_a_sweep_removed_what_had_just_come_and_had_no_row_yet(
    blobs: Blobs, tmp_path: Path
) -> None:
    old, fresh, again = blobs.put(b"old"), blobs.put(b"fresh"), blobs.put(b"again")
    for upload in ("u_old", "u_fresh"):
        blobs.append(upload, 0, b"x")
    for path in (blobs.path(old), blobs.path(again), tmp_path / "uploads" / "u_old"):
        os.utime(path, (0, 0))
    # A blob stored again is about to get a row, too.
    assert blobs.put(b"again") == again
    assert blobs.sweep(set(), set, 3600) == 2
    kept = [f"blobs/{sha256[:2]}/{sha256}" for sha256 in (fresh, again)]
    assert everything(tmp_path) == sorted([*kept, "uploads/u_fresh"])


def test_a_sweep_failed_when_another_one_took_the_file_first(blobs: Blobs, tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three"):
        blobs.put(content)
    others: list[int] = []

    def unreferenced(hashes: list[str]) -> set[str]:
        if not others:
            others.append(0)
            others[0] = blobs.sweep(set(), set, 0) + blobs.sweep(set(), set, 0)
        return set(hashes)

    assert blobs.sweep(set(), unreferenced, 0) == 0
    assert others == [3]
    assert everything(tmp_path) == []


@pytest.mark.slow
def test_a_sweep_failed_when_an_upload_ended_meanwhile(blobs: Blobs, tmp_path: Path) -> None:
    """The folder has an upload that was opened after the sweep had read the list of open ones."""
    stop = threading.Event()
    failed: list[Exception] = []

    def sweep() -> None:
        while not stop.is_set():
            try:
                blobs.sweep(set(), lambda hashes: set(), 3600)
            except Exception as error:
                failed.append(error)
                return

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    for turn in range(300):
        blobs.put(b"%d" % turn)
        blobs.append(f"u_{turn}", 0, b"%d" % turn)
        assert blobs.finish(f"u_{turn}", hashlib.sha256(b"%d" % turn).hexdigest())
    stop.set()
    sweeper.join()
    assert failed == []


def test_what_came_while_the_clock_was_ahead_stayed_for_ever(blobs: Blobs, tmp_path: Path) -> None:
    ahead = blobs.put(b"ahead")
    blobs.append("u_ahead", 0, b"x")
    part = tmp_path / "uploads" / "u_ahead"
    for path in (blobs.path(ahead), part):
        os.utime(path, (2**32, 2**32))
    assert blobs.sweep(set(), set, 3600) == 0
    # Its age counts from the sweep that found it.
    assert time.time() - 60 < blobs.path(ahead).stat().st_mtime <= time.time()
    assert time.time() - 60 < part.stat().st_mtime <= time.time()


def test_a_start_sweeps_what_came_while_the_clock_was_ahead(blobs: Blobs, tmp_path: Path) -> None:
    os.utime(blobs.path(blobs.put(b"ahead")), (2**32, 2**32))
    assert blobs.sweep(set(), set, 0) == 1
    assert everything(tmp_path) == []


def test_a_finished_upload_of_a_known_content_was_swept_before_its_row_came(blobs: Blobs) -> None:
    known = blobs.put(CONTENT)
    os.utime(blobs.path(known), (0, 0))
    blobs.append("u_1", 0, CONTENT)
    assert blobs.finish("u_1", HASH)
    assert blobs.sweep(set(), set, 3600) == 0
    assert blobs.read(HASH, 0, 100) == CONTENT


async def test_an_upload_has_one_lock_that_is_forgotten_after_use(blobs: Blobs) -> None:
    lock = blobs.lock("u_1")
    assert blobs.lock("u_1") is lock
    assert blobs.lock("u_2") is not lock
    del lock
    gc.collect()
    assert not blobs._locks


def test_nobody_else_may_read_the_folders(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put(CONTENT)
    for folder in ("blobs", "uploads", f"blobs/{HASH[:2]}"):
        assert (tmp_path / folder).stat().st_mode & 0o077 == 0
