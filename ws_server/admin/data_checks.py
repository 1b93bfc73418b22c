"""The checks of `admin doctor` that examine the data folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from pathlib import Path

from sqlalchemy import Connection

from ws_server import key as realm_key
from ws_server.admin import control
from ws_server.admin.backup import LAST_BACKUP
from ws_server.admin.checks import LOOK, Case, Finding
from ws_server.store.admin import inspection
from ws_server.store.contents import blobs as blob_store
from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.engines.sqlite_file import file_of

WEEK = 7 * 24 * 3600
BLOBS = 20_000
"""Blobs to check, unless all are requested."""
GIB = 2**30


async def permissions(case: Case) -> list[Finding]:
    """Check that only the server's account can read the data."""
    private = [case.data / name for name in ("blobs", realm_key.FILE, control.FILE)]
    if (file := file_of(case.database)) is not None:
        private += [file.with_name(file.name + end) for end in ("", "-wal", "-shm")]
    found = []
    for level, path in [("warn", case.data), *(("fail", path) for path in private)]:
        if path.exists() and path.stat().st_mode & 0o077:
            mode = "700" if path.is_dir() else "600"
            shown = stat.filemode(path.stat().st_mode)
            text = f"{path} can be opened by other accounts ({shown})"
            found.append(Finding(level, text, f"chmod {mode} {path}"))
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            if os.statvfs(path).f_flag & os.ST_RDONLY:
                hint = "Mount its file system read-write"
            else:
                hint = "Run this as the server's account, or chown it"
            text = f"{path} cannot be read and written by this account"
            found.append(Finding("fail", text, hint))
    return found or [Finding("ok", "only the owner can read the data")]


async def key(case: Case) -> list[Finding]:
    """Check that the realm's key exists."""
    hint = f"Put back the {realm_key.FILE} of a backup; other realms know this one by its key"
    try:
        found = await asyncio.to_thread(realm_key.read, case.data)
    except realm_key.KeyRefused as refusal:
        return [Finding("fail", str(refusal), hint)]
    if found is None:
        return [Finding("fail", f"{realm_key.FILE} is missing", hint)]
    return [
        Finding("ok", f"fingerprint {realm_key.fingerprint(found.public_key().public_bytes_raw())}")
    ]


async def backup(case: Case) -> list[Finding]:
    """Check that a recent backup exists."""
    hint = "Make a backup: admin backup"
    path = case.data / LAST_BACKUP
    try:
        made = float(path.read_text())
        age = time.time() - made
        days = f"{age / 86400:.1f} days ago"
    except FileNotFoundError:
        return [Finding("warn", "no backup was ever made", hint)]
    except (ValueError, OverflowError):
        return [Finding("warn", f"{path} does not hold a time", hint)]
    if age < -3600:
        text = f"the last one is dated {-age / 86400:.1f} days ahead of this machine's clock"
        return [
            Finding("warn", text, "See the check of the clock; then make a backup: admin backup")
        ]
    if not age <= WEEK:
        return [Finding("warn", f"the last one was made {days}", hint)]
    return [Finding("ok", f"the last one was made {days}")]


async def blobs(case: Case) -> list[Finding]:
    """Check that the contents of all files in messages exist."""

    def ask(tx: Connection) -> tuple[int, list[tuple[str, int]]]:
        return inspection.contents(tx, None if case.deep else BLOBS)

    try:
        count, some = await asyncio.to_thread(inspection.read, case.database, ask)
    except DatabaseRefused as refusal:
        hint = "See the check of the database"
        return [Finding("fail", f"the database cannot list them: {refusal}", hint)]
    looked, wrong = await asyncio.to_thread(_look_for, case, some)
    how = "intact" if case.deep else "present"
    if not wrong:
        return [Finding("ok", f"{looked:,} of {count:,} files checked, all {how}")]
    text = f"{len(wrong):,} of {looked:,} files are missing or damaged, such as {wrong[0]}"
    return [Finding("fail", text, "Put them back from a backup of the data folder's blobs")]


def _look_for(case: Case, some: list[tuple[str, int]]) -> tuple[int, list[Path]]:
    """Return how many blobs were checked, and the paths of those missing or damaged."""
    end = time.monotonic() + LOOK
    wrong: list[Path] = []
    for looked, (sha256, size) in enumerate(some):
        if not case.deep and time.monotonic() > end:
            return looked, wrong
        path = blob_store.place(case.data, sha256)
        try:
            right = path.stat().st_size == size
            if right and case.deep:
                with open(path, "rb") as content:
                    right = hashlib.file_digest(content, "sha256").hexdigest() == sha256
        except OSError:
            right = False
        if not right:
            wrong.append(path)
    return len(some), wrong
