"""Files and folders that appear whole or not at all, even if interrupted."""

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
from ws_server.admin.interrupts import interrupts
from ws_server.admin.pace import Pace

MAX_NAME = 200
SYNC_STEP = 1 << 17
"""Bytes written between two syncs; more would delay the syncs of a running server."""


class _SyncedSteps(io.FileIO):
    pace: Pace
    _unsynced = 0

    def write(self, content: Any) -> int:
        interrupts.check()
        written = super().write(memoryview(content)[: SYNC_STEP - self._unsynced])
        self._unsynced += written
        if self._unsynced >= SYNC_STEP:
            os.fdatasync(self.fileno())
            self._unsynced = 0
            self.pace.rest()
        return written


@contextmanager
def whole_file(path: Path, pace: Pace) -> Iterator[IO[bytes]]:
    """Write a file that replaces `path` durably once the block has ended.

    Only its owner may read it. If an exception ends the block, no file is left. From now on,
    signals interrupt the command only where `interrupts.check` is called, as before each write.

    Args:
        pace: The pace of the writes.

    Raises:
        AdminRefused: the disk refused.
    """
    if path.is_symlink():  # the link remains and leads to the new file
        path = path.resolve()
    if path.is_dir():
        raise AdminRefused(f"{shown(path)} is a folder; name a file")
    if path.exists() and not path.is_file():
        raise AdminRefused(f"{shown(path)} is a device or a pipe; name a file")
    part = _beside(path)
    interrupts.obey_between_steps()
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        steps = _SyncedSteps(handle, "wb")
        steps.pace = pace
        with io.BufferedWriter(steps) as file:
            yield file
            file.flush()
            os.fsync(handle)
        interrupts.check()
        os.replace(part, path)
        sync(path.parent)
    except OSError as error:
        raise AdminRefused(_unwritten(path, part, error)) from error
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def part_folder(path: Path) -> Iterator[Path]:
    """Create a folder that `place` renames to `path`; without that, it is removed at the end.

    From now on, signals interrupt the command only where `interrupts.check` is called.

    Raises:
        AdminRefused: the disk refused.
    """
    part = _beside(path)
    interrupts.obey_between_steps()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
        yield part
    except OSError as error:
        raise AdminRefused(_unwritten(path, part, error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def place(part: Path, path: Path) -> None:
    """Sync a folder with its files and rename it to `path`, which may be an empty folder.

    Raises:
        OSError: the disk refused, or the folder at `path` is not empty.
        KeyboardInterrupt: the command was interrupted.
    """
    # After the last write, most of these syncs have no work left.
    for found in (*part.rglob("*"), part):
        sync(found)
    interrupts.check()
    os.rename(part, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    # Shorten a long name so that the suffix fits into the 255 bytes of most file systems.
    name = os.fsdecode(os.fsencode(path.name)[:MAX_NAME])
    return path.with_name(f".{name}.{secrets.token_hex(4)}.part")


def _unwritten(path: Path, part: Path, error: OSError) -> str:
    where = f"{shown(path)} was not written"
    if error.filename is None or str(error.filename) == str(part):
        return explained(OSError(error.errno, error.strerror), where)
    # The operator did not choose the name of the part.
    named = str(error.filename).replace(str(part), str(path))
    return f"{where}: {explained(OSError(error.errno, error.strerror, named))}"
