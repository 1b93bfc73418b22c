"""The data folder of a realm: its location, its lock, and the URL of its database."""

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
"""A file that marks a realm whose database is given by --database, so that a start without that
option does not create a new database in the folder."""


class Refused(Exception):
    """The realm cannot be opened; the text names the remedy for the operator."""


def lock_folder(data: Path) -> IO[str]:
    """Create the data folder and lock it against other servers, by any spelling of its path.

    Raises:
        Refused: another server uses the folder, or it is not writable.
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
    """Lock a SQLite database against servers with other data folders; PostgreSQL locks itself.

    The lock is a file beside the database: closing another handle of the database file would
    release SQLite's own locks (sqlite.org/howtocorrupt.html, 2.2).

    Raises:
        Refused: another server uses the database, or its folder is not writable.
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
    """Lock a file without waiting; close it if it is locked already."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    return True


def holds_realm(data: Path) -> bool:
    """Return whether the folder holds a realm, or this account lacks the right to see that."""
    try:
        return any((data / name).exists() for name in (key.FILE, DATABASE, ELSEWHERE))
    except OSError:
        return True


def expect_realm(data: Path) -> None:
    """Refuse a folder without a realm.

    Raises:
        Refused: the folder holds no realm.
    """
    if not holds_realm(data):
        raise Refused(f"{shown(data.resolve())} holds no realm; name its data folder with --data")


def forget(data: Path) -> None:
    """Remove the files of a new realm whose opening failed before it had data."""
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
        Refused: the realm was last opened with another URL, and none is given now.
        DatabaseRefused: the URL given cannot be parsed.
    """
    if settings.database:
        return read_url(settings.database)
    if os.path.exists(settings.data / ELSEWHERE):
        raise Refused(
            f"The database of {shown(settings.data.resolve())} is not in that folder. Name it as "
            "before, with --database or CHAT_DATABASE"
        )
    return url_of(settings.data / DATABASE)
