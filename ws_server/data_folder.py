"""The folder a realm's data is in: which one it is, who uses it, and where its database is."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from sqlalchemy.engine import URL

from shared.faults import explained, shown
from ws_server import key
from ws_server.settings import Settings
from ws_server.store.database import read_url
from ws_server.store.engines.sqlite_file import file_of, url_of

LOCK = "lock"
DATABASE = "chat.db"
ELSEWHERE = "database-elsewhere"
"""A file in the data folder of a realm whose database is named by --database, so that nobody begins
a new one in the folder by leaving that out."""


class Refused(Exception):
    """The realm cannot be opened; the text tells the operator what to do."""


def lock_folder(data: Path) -> IO[str]:
    """Create the data folder and keep other servers off it, however they spell its path.

    Raises:
        Refused: another server uses it, or it cannot be written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(data / LOCK, "w")  # noqa: SIM115 - held until the server ends
    except OSError as error:
        raise Refused(f"--data {explained(error, data)}") from error
    if not _locked(lock):
        raise Refused(
            f"Another server uses {shown(data.resolve())}. Stop it, or give another folder with "
            "--data"
        )
    return lock


def lock_database(url: URL) -> IO[str] | None:
    """Keep servers with other data folders off a SQLite database; PostgreSQL does so itself.

    The lock is a file beside it: to close another handle of the database would end SQLite's own
    locks (sqlite.org/howtocorrupt.html, 2.2).

    Raises:
        Refused: another server uses it, or the folder it is in cannot be written.
    """
    path = file_of(url)
    if path is None:
        return None
    path = path.resolve()
    try:
        lock = open(path.with_name(f"{path.name}.lock"), "w")  # noqa: SIM115 - held likewise
    except OSError as error:
        raise Refused(f"--database {explained(error, path)}") from error
    if not _locked(lock):
        raise Refused(f"Another server uses {shown(path)}. Stop it, or name another --database")
    return lock


def _locked(lock: IO[str]) -> bool:
    """Take a lock, or close its file if somebody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    return True


def holds_realm(data: Path) -> bool:
    """Tell whether a realm was ever opened on this folder, or this account may not see that."""
    try:
        return any((data / name).exists() for name in (key.FILE, DATABASE, ELSEWHERE))
    except OSError:
        return True


def expect_realm(data: Path) -> None:
    """Refuse a folder on which no realm was ever opened.

    Raises:
        Refused: that is so.
    """
    if not holds_realm(data):
        raise Refused(f"{shown(data.resolve())} holds no realm; name its data folder with --data")


def forget(data: Path) -> None:
    """Remove what opening a new realm made, which failed before anything was in it."""
    files = (key.FILE, *(f"{DATABASE}{end}" for end in ("", "-wal", "-shm")))
    for name in files:
        with suppress(OSError):
            (data / name).unlink()
    for name in ("blobs", "uploads"):
        with suppress(OSError):
            (data / name).rmdir()


def database_url(settings: Settings) -> URL:
    """Return the URL of the database.

    Raises:
        Refused: the realm was last opened with another one, which is not named now.
        DatabaseRefused: the one that is named cannot be read.
    """
    if settings.database:
        return read_url(settings.database)
    if os.path.exists(settings.data / ELSEWHERE):
        raise Refused(
            f"The database of {shown(settings.data.resolve())} is not in that folder. Name it as "
            "before, with --database or CHAT_DATABASE"
        )
    return url_of(settings.data / DATABASE)
