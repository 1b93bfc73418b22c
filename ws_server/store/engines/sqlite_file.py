"""The file of a SQLite database: its URL, opening it under any path, and explaining its faults."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote_to_bytes

from sqlalchemy.engine import URL

from shared.faults import shown
from ws_server.store.engines.adapter import DatabaseRefused

MAX_PATH = 504
"""Bytes of the longest path that SQLite opens: its limit is 512, including `-journal`."""
PREFIX = "sqlite:///"

HINTS = {
    "SQLITE_FULL": "The disk is full: make room on it",
    "SQLITE_READONLY": "It cannot be written: give this account the right to the file and its "
    "folder, or mount the file system for writing",
    "SQLITE_CANTOPEN": "Check that its folder exists, and that this account may write to it",
    "SQLITE_BUSY": "Another program has locked it: stop that program",
    "SQLITE_NOTADB": "Another file was put in its place: restore a backup",
    "SQLITE_CORRUPT": "It is damaged: keep a copy, and restore the last backup",
    "SQLITE_IOERR": "The disk failed or is full: check the disk, and the system's log",
    "SQLITE_PERM": "Run this as the account that owns it",
}
"""The fix for each SQLite error (sqlite.org/rescode.html), by the start of its name."""


def url_of(path: Path) -> URL:
    """Return the URL of a SQLite database in a file; the path may contain any character."""
    return URL.create("sqlite", database=str(path))


def read_url(text: str) -> URL:
    """Return the URL for an operator's `sqlite:///PATH`, with percent escapes such as %3F decoded.

    Raises:
        DatabaseRefused: it does not name a file.
    """
    path = text.removeprefix(PREFIX)
    if "?" in path:
        raise DatabaseRefused(
            f"--database {shown(text)}: write a ? in the path as %3F; options after it are not "
            "supported"
        )
    path = os.fsdecode(unquote_to_bytes(os.fsencode(path)))
    if path in ("", ":memory:") or path.endswith("/"):
        raise DatabaseRefused(f"--database must name a file: {PREFIX}PATH")
    return url_of(Path(path))


def file_of(url: URL) -> Path | None:
    """Return the file of a SQLite database; None for another kind of database."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def check_length(path: Path) -> None:
    """Refuse a path that SQLite cannot open.

    Raises:
        DatabaseRefused: it is too long.
    """
    size = len(os.fsencode(path.resolve()))
    if size > MAX_PATH:
        raise DatabaseRefused(
            f"{shown(path)}: the path has {size} bytes, and SQLite opens at most {MAX_PATH}. "
            "Name a shorter one"
        )


def connect(path: Path, options: str, **arguments: object) -> sqlite3.Connection:
    """Open a file with options of SQLite's URIs (sqlite.org/uri.html), such as `mode=ro`."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, **arguments)  # type: ignore[call-overload, no-any-return]


def explained(path: Path, fault: BaseException) -> str:
    """Return, for an operator, SQLite's message about a file and how to fix the fault."""
    name = str(getattr(fault, "sqlite_errorname", None))
    hint = next((hint for begin, hint in HINTS.items() if name.startswith(begin)), "")
    if name.startswith("SQLITE_CANTOPEN") and os.path.exists(path):
        hint = "This account may not open it: run this as the account that owns it"
    return f"{shown(path)}: {fault}. {hint}" if hint else f"{shown(path)}: {fault}"
