"""`admin restore`: a realm from an archive, checked completely before it is put in place."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Connection, delete, func, select

from shared.faults import shown
from shared.protocol.commands.messages import clock_in_words
from shared.protocol.values import NAME
from ws_server import data_folder, key
from ws_server.admin.archive import ArchiveEntry, ArchiveRefused, read_end, read_entry
from ws_server.admin.atomic_files import part_folder, place
from ws_server.admin.backup import (
    ABOUT,
    FORMAT,
    MANIFEST,
    PART,
    About,
    Manifest,
    blob_name,
    part_name,
)
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, beside
from ws_server.settings import Settings
from ws_server.store.admin import dump
from ws_server.store.contents import content_fetches
from ws_server.store.contents.blobs import Blobs
from ws_server.store.engines import snapshot
from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.federation import own_name
from ws_server.store.migrating import check_known

MAX_PART = 4 * PART
MAX_TEXT = 1 << 24
"""Maximum size of the first and the last entry in bytes."""
SECRETS = frozenset({"tokens", "invitation_codes"})
"""Tables of secrets that may have been copied since; archives of earlier versions have fewer."""
SHA256 = re.compile(r"[0-9a-f]{64}")


@beside(
    "restore",
    Argument("file", "an archive that backup wrote"),
    Argument("--end-sessions", "end all sessions and revoke all invitations", flag=True),
)
async def restore(settings: Settings, given: Given, say: Say) -> None:
    """Create a realm from an archive of backup, in a new or empty data folder."""
    data = settings.data.resolve()
    refuse_taken(data)
    path = Path(given["file"])
    with opened(path) as file, part_folder(data) as part:
        try:
            made = _Restore(file, part, end_sessions="end_sessions" in given)
            await _build(settings, data, made)
        except (DatabaseRefused, key.KeyRefused) as why:
            # The operator did not choose the name of the part.
            raise AdminRefused(str(why).replace(shown(part), shown(data))) from why
        except ArchiveRefused as why:
            raise AdminRefused(f"{shown(path)} was not restored: {why}") from why
    rows, blobs, about, name = made.manifest.rows, made.manifest.blobs, made.about, made.name
    say(
        f"Restored {'the realm ' + name if name else 'a realm'} into {shown(data)} "
        f"as it was at {clock_in_words(about.time * 1000)} UTC: {rows['users']:,} accounts, "
        f"{rows['messages']:,} messages, contents of {blobs['count']:,} files"
    )


def opened(path: Path) -> IO[bytes]:
    """Open an archive.

    Raises:
        OSError: the file is unreadable.
    """
    return open(path, "rb")


def refuse_taken(data: Path) -> None:
    """Refuse a folder that is not empty.

    Raises:
        AdminRefused: the folder is not empty, or cannot be replaced.
    """
    if not data.exists():
        return
    where = shown(data)
    if not data.is_dir():
        raise AdminRefused(f"{where} is not a folder; name a new one with --data")
    if _is_locked(data):
        raise AdminRefused(f"A server runs on {where}. Stop it, and name a new folder with --data")
    if data_folder.holds_realm(data):
        raise AdminRefused(f"{where} holds a realm already; name a new folder with --data")
    if any(data.iterdir()):
        raise AdminRefused(f"{where} is not empty; name a new folder with --data")
    if os.path.ismount(data):
        raise AdminRefused(f"{where} is a mount point; name a new folder in it with --data")


def _is_locked(data: Path) -> bool:
    try:
        with open(data / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


async def _build(settings: Settings, data: Path, made: _Restore) -> None:
    """Build the realm beside its place, then move it there."""
    part = made.part
    if not settings.database:
        settings = settings.model_copy(update={"data": part})
        await snapshot.create(data_folder.database_url(settings), made.about.schema, made.fill)
        place(part, data)
        return
    (part / data_folder.ELSEWHERE).touch(mode=0o600)
    # The folder is renamed inside the transaction, so that both exist or neither.
    url = data_folder.database_url(settings)
    try:
        await snapshot.create(url, made.about.schema, made.fill, lambda: place(part, data))
    except BaseException:
        if not part.exists():
            shutil.rmtree(data)
        raise


def is_right(about: Any) -> bool:
    """Return whether the description in an archive has the right types."""
    return (
        isinstance(about.schema, str)
        and isinstance(about.time, int)
        and 0 <= about.time < 1 << 36
        and (about.realm is None or NAME.fullmatch(about.realm) is not None)
        and isinstance(about.tables, dict)
        and all(isinstance(columns, list) for columns in about.tables.values())
        and all(isinstance(name, str) for columns in about.tables.values() for name in columns)
    )


class _Restore:
    """One pass over an archive; `part` becomes the data folder."""

    def __init__(self, file: IO[bytes], part: Path, end_sessions: bool) -> None:
        """Read the archive's description of itself.

        Raises:
            ArchiveRefused: the file is not a backup, or is of a newer version.
        """
        self._file = file
        self.part = part
        self._end_sessions = end_sessions
        self.manifest = Manifest()
        self.about = self._read_about()
        self.name: str | None = None

    def _read_about(self) -> About:
        entry = read_entry(self._file)
        if entry.name != ABOUT:
            raise ArchiveRefused("it is not a backup of a realm")
        try:
            found = orjson.loads(entry.content(MAX_TEXT))
            if found["format"] > FORMAT:
                raise ArchiveRefused(f"a newer version made it (format {found['format']:d})")
            about = About(**found)
            if not is_right(about):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveRefused(f"its {ABOUT} is damaged") from error
        try:
            check_known(about.schema)
        except DatabaseRefused as error:
            raise ArchiveRefused(f"a newer version made it (schema {about.schema!r})") from error
        self.manifest.add_entry(entry)
        return about

    def fill(self, tx: Connection) -> None:
        """Read all entries in order and compare them with the manifest.

        Raises:
            ArchiveRefused: an entry is missing, damaged or unexpected.
        """
        entry = read_entry(self._file)
        if entry.name == key.FILE:
            key.write(self.part, entry.content(MAX_PART))
            try:
                key.read(self.part)
            except key.KeyRefused as error:
                raise ArchiveRefused(f"{key.FILE} is damaged") from error
            self.manifest.add_entry(entry)
            entry = read_entry(self._file)
        tables = {table.name: table for table in dump.tables(tx)}
        if {name: sorted(dump.columns(table)) for name, table in tables.items()} != {
            name: sorted(columns) for name, columns in self.about.tables.items()
        }:
            raise ArchiveRefused(f"its tables are not those of schema {self.about.schema}")
        for name, columns in self.about.tables.items():
            self.manifest.rows[name] = 0
            number = 1
            while entry.name == part_name(name, number):
                try:
                    count = dump.load(tx, tables[name], columns, entry.content(MAX_PART))
                except dump.BadRows as error:
                    raise ArchiveRefused(f"{entry.name} is damaged") from error
                self.manifest.rows[name] += count
                self.manifest.add_entry(entry)
                number += 1
                entry = read_entry(self._file)
        entry = self._take_blobs(entry)
        self._compare(entry)
        self._check_references(tx)
        # Archives of earlier versions have the name outside the tables, if at all.
        self.name = own_name.stored_name(tx)
        if self.name is None and self.about.realm is not None:
            self.name = self.about.realm
            own_name.store_name(tx, self.name)
        if self._end_sessions:
            for name in tables.keys() & SECRETS:
                tx.execute(delete(tables[name]))

    def _take_blobs(self, entry: ArchiveEntry) -> ArchiveEntry:
        """Write each blob once, and return the first entry that is not a blob."""
        blobs = Blobs(self.part)
        last = ""
        while SHA256.fullmatch(sha256 := entry.name.removeprefix("blobs/")):
            if entry.name != blob_name(sha256) or sha256 <= last:
                raise ArchiveRefused(f"{entry.name} is in the wrong place")
            path = blobs.path(sha256)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(path, "xb") as file:
                for piece in entry.pieces():
                    file.write(piece)
            if entry.sha256 != sha256:
                raise ArchiveRefused(f"{entry.name} is damaged")
            self.manifest.add_blob(entry.size)
            last = sha256
            entry = read_entry(self._file)
        return entry

    def _compare(self, entry: ArchiveEntry) -> None:
        if entry.name != MANIFEST:
            raise ArchiveRefused(f"{entry.name[:100]!r} is unexpected, or in the wrong place")
        content = entry.content(MAX_TEXT)
        read_end(self._file)
        if content == self.manifest.content():
            return
        try:
            promised = orjson.loads(content)["entries"]
            wrong = [n for n, found in self.manifest.entries.items() if promised.get(n) != found]
        except (AttributeError, KeyError, TypeError, ValueError):
            wrong = []
        what = wrong[0] if wrong else "something"
        raise ArchiveRefused(f"{what} in it is damaged, missing or unexpected")

    def _check_references(self, tx: Connection) -> None:
        """Compare the blobs with the files that refer to them."""
        blobs = Blobs(self.part)
        wanted = content_fetches.stored(tx)
        for sha256, size in tx.execute(wanted, execution_options={"yield_per": dump.AT_ONCE}):
            try:
                right = blobs.path(sha256).stat().st_size == size
            except FileNotFoundError:
                right = False
            if not right:
                raise ArchiveRefused(f"{blob_name(sha256)} is missing or has another size")
        count = tx.scalar(select(func.count(wanted.subquery().c.sha256.distinct())))
        if count != self.manifest.blobs["count"]:
            raise ArchiveRefused("it contains files that no message refers to")
