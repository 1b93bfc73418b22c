"""Files and folders that appear whole or not at all, whatever interrupts their making."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from shared.faults import explained, shown
from ws_server.admin.commands import AdminRefused
from ws_server.admin.pace import Pace

MAX_NAME = 200
SYNC_STEP = 1 << 17
"""Bytes written between two syncs, or a server beside would wait for all of them in its own."""


class _SyncedSteps(io.FileIO):
    pace: Pace
    _unsynced = 0

    def write(self, content: Any) -> int:
        written = super().write(memoryview(content)[: SYNC_STEP - self._unsynced])
        self._unsynced += written
        if self._unsynced >= SYNC_STEP:
            os.fdatasync(self.fileno())
            self._unsynced = 0
            self.pace.rest()
        return written


@contextmanager
def whole_file(path: Path, pace: Pace) -> Iterator[IO[bytes]]:
    """Write a file that takes the place of `path` once the block has ended, durably.

    Only its owner may read it. Whatever exception ends the block, nothing is left.

    Args:
        pace: At which it goes to the disk.

    Raises:
        AdminRefused: the disk refused.
    """
    if path.is_symlink():  # which stays, and leads to the new file
        path = path.resolve()
    if path.is_dir():
        raise AdminRefused(f"{shown(path)} is a folder; name a file")
    if path.exists() and not path.is_file():
        raise AdminRefused(f"{shown(path)} is no file but a device or a pipe; name a file")
    part = _beside(path)
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        steps = _SyncedSteps(handle, "wb")
        steps.pace = pace
        with io.BufferedWriter(steps) as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.replace(part, path)
        sync(path.parent)
    except OSError as error:
        raise AdminRefused(_unwritten(path, part, error)) from error
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def part_folder(path: Path) -> Iterator[Path]:
    """Make a folder for `place` to put at `path`; if that is not done, nothing is left.

    Raises:
        AdminRefused: the disk refused.
    """
    part = _beside(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
        yield part
    except OSError as error:
        raise AdminRefused(_unwritten(path, part, error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def place(part: Path, path: Path) -> None:
    """Sync a folder and all in it, and give it its name, which may be that of an empty one.

    Raises:
        OSError: the disk refused, or there is something in the folder of that name.
    """
    # When all is written: then most of these syncs find nothing left to do.
    for found in (*part.rglob("*"), part):
        sync(found)
    os.rename(part, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    # Of a long name only as much as leaves room for the rest in the 255 bytes of most systems.
    name = os.fsdecode(os.fsencode(path.name)[:MAX_NAME])
    return path.with_name(f".{name}.{secrets.token_hex(4)}.part")


def _unwritten(path: Path, part: Path, error: OSError) -> str:
    where = f"{shown(path)} was not written"
    if error.filename is None or str(error.filename) == str(part):
        return explained(OSError(error.errno, error.strerror), where)
    # Nobody knows the part by its name.
    named = str(error.filename).replace(str(part), str(path))
    return f"{where}: {explained(OSError(error.errno, error.strerror, named))}"
