"""`admin backup`: the whole realm in one archive, a snapshot of one moment.

    about.json                   format, schema, tables and their columns
    realm.key                    if the realm has one yet
    tables/NAME/000001.jsonl     rows, about 1 MiB of them an entry (ws_server.store.admin.dump)
    blobs/SHA256                 contents of files, in the order of their names
    manifest.json                sizes and hashes of all entries before the blobs, and all counts

The manifest is last, as its counts are known only then; an archive without it is incomplete. It
does not list blobs: a blob's name is its hash, and the rows contain its size.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import orjson
from sqlalchemy import Connection

from shared.faults import shown
from ws_server import data_folder, key
from ws_server.admin.archive import ArchiveEntry, ArchiveWriter
from ws_server.admin.atomic_files import whole_file
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, beside
from ws_server.admin.pace import Pace
from ws_server.settings import Settings
from ws_server.store.admin import dump
from ws_server.store.contents import content_fetches
from ws_server.store.contents.blobs import Blobs, Damaged
from ws_server.store.database import history_id
from ws_server.store.engines import snapshot
from ws_server.store.federation import own_name

FORMAT = 1
"""Increased with every change that earlier versions cannot read."""
ABOUT, MANIFEST = "about.json", "manifest.json"
PART = 1 << 20
"""Bytes of rows after which a part ends."""
LAST_BACKUP = "last-backup"
"""The file in the data folder with the start time of the last complete backup, in Unix seconds."""


@dataclass(frozen=True, slots=True)
class About:
    """The first entry."""

    format: int
    schema: str
    realm: str | None
    epoch: str
    time: int
    """Unix seconds."""
    tables: dict[str, list[str]]
    """The columns of each table, in the order of the values; referenced tables come first."""


@dataclass(slots=True)
class Manifest:
    """The last entry; the writer and the reader of an archive fill it in the same way."""

    entries: dict[str, dict[str, str | int]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=lambda: {"count": 0, "bytes": 0})

    def add(self, name: str, size: int, sha256: str) -> None:
        """Count an entry that is not a blob."""
        self.entries[name] = {"size": size, "sha256": sha256}

    def add_entry(self, entry: ArchiveEntry) -> None:
        """Count an entry that was read completely."""
        self.add(entry.name, entry.size, entry.sha256)

    def add_blob(self, size: int) -> None:
        """Count a blob."""
        self.blobs["count"] += 1
        self.blobs["bytes"] += size

    def content(self) -> bytes:
        """Return the entry's content."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def part_name(table: str, number: int) -> str:
    """Return the name of a table's part; parts count from 1."""
    return f"tables/{table}/{number:06d}.jsonl"


def blob_name(sha256: str) -> str:
    """Return the name of a blob's entry."""
    return f"blobs/{sha256}"


@beside("backup", Argument("file", "the archive to write; an existing one is replaced"))
async def backup(settings: Settings, given: Given, say: Say) -> None:
    """Write the whole realm into one archive: database, files and key."""
    data_folder.expect_realm(settings.data)
    path = Path(given["file"])
    now = int(time.time())
    pace = Pace(settings.data)
    with whole_file(path, pace) as file:
        made = _Backup(settings, file, now, pace)
        await snapshot.read(data_folder.database_url(settings), made.write_tables)
        made.write_blobs()
    remember(settings.data, now)
    rows, blobs = made.manifest.rows, made.manifest.blobs
    say(
        f"Wrote {shown(path)}: {rows['users']:,} accounts, {rows['messages']:,} messages, "
        f"contents of {blobs['count']:,} files. Keep it as safe as the realm's key, which it holds"
    )


class _Backup:
    def __init__(self, settings: Settings, file: IO[bytes], now: int, pace: Pace) -> None:
        self._settings = settings
        self._pace = pace
        self._now = now
        self._archive = ArchiveWriter(file, now)
        self.manifest = Manifest()
        self._blobs: list[tuple[str, int]] = []

    def write_tables(self, tx: Connection) -> None:
        """Write all entries before the blobs, and collect the names of the blobs.

        The blobs follow after the snapshot is released: no blob of the snapshot is removed
        meanwhile.
        """
        tables = {str(table.name): table for table in dump.tables(tx)}
        # The database of a realm last served by an earlier version has no realm name.
        given = self._settings.realm if "realm" in self._settings.model_fields_set else None
        about = About(
            format=FORMAT,
            schema=snapshot.revision(tx),
            realm=own_name.stored_name(tx) or given,
            epoch=history_id(tx),
            time=self._now,
            tables={name: dump.columns(table) for name, table in tables.items()},
        )
        self._add(ABOUT, orjson.dumps(about))
        if (realm_key := key.read(self._settings.data)) is not None:
            self._add(key.FILE, key.encoded(realm_key))
        for name, table in tables.items():
            self.manifest.rows[name] = 0
            for number, part in enumerate(self._parts(name, dump.lines(tx, table)), 1):
                self._add(part_name(name, number), part)
        self._blobs = [(sha256, size) for sha256, size in tx.execute(content_fetches.stored(tx))]

    def _parts(self, table: str, lines: Iterator[bytes]) -> Iterator[bytes]:
        part = bytearray()
        for line in lines:
            part += line
            self.manifest.rows[table] += 1
            if self.manifest.rows[table] % dump.READ_AT_ONCE == 0:
                self._pace.rest()
            if len(part) >= PART:
                yield bytes(part)
                part.clear()
        if part:
            yield bytes(part)

    def _add(self, name: str, content: bytes) -> None:
        self._archive.add(name, len(content), [content])
        self.manifest.add(name, len(content), hashlib.sha256(content).hexdigest())

    def write_blobs(self) -> None:
        """Write the blobs, and end the archive."""
        blobs = Blobs(self._settings.data)
        for sha256, size in self._blobs:
            try:
                self._archive.add(blob_name(sha256), size, blobs.pieces(sha256, size))
            except Damaged as why:
                raise AdminRefused(
                    f"{why}, and messages carry it. Put back the right one from an older backup"
                ) from why
            self.manifest.add_blob(size)
        content = self.manifest.content()
        self._archive.add(MANIFEST, len(content), [content])
        self._archive.close()


def remember(data: Path, now: int) -> None:
    """Store the time of the backup in a writable data folder; only the owner may read it."""
    path, part = data / LAST_BACKUP, data / f".{LAST_BACKUP}.part"
    with suppress(OSError):
        try:
            part.write_text(f"{now}\n")
            owner = data.stat()
            if owner.st_uid != os.geteuid():
                os.chown(part, owner.st_uid, owner.st_gid)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
