"""The SQLite archive of an XMPP server, created before the server opens it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


class SqliteArchive:
    """A database in WAL mode.

    The mode is a permanent property of the file. Neither ejabberd nor Prosody has a setting for it.
    With their default, the rollback journal, a commit needs several syncs instead of one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "archive.sqlite"

    def make(self) -> None:
        if not self.path.exists():
            with closing(sqlite3.connect(self.path)) as database:
                database.execute("PRAGMA journal_mode = WAL")

    def query(self, sql: str) -> list[str]:
        """Return the rows of a query with one column."""
        with closing(sqlite3.connect(self.path)) as database:
            return [value for (value,) in database.execute(sql)]
