"""`admin export`: one user's sent and received data, as a zip for that user."""

from __future__ import annotations

import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Connection, select

from shared.faults import shown
from shared.protocol.commands.messages import FileInfo, Message
from shared.protocol.errors import ChatError
from ws_server import data_folder
from ws_server.admin.atomic_files import whole_file
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, beside
from ws_server.admin.pace import Pace
from ws_server.settings import Settings
from ws_server.store import conversation_summaries, conversations, message_pages, steps
from ws_server.store.accounts import blocks
from ws_server.store.accounts import users as accounts
from ws_server.store.accounts.users import User
from ws_server.store.contents import content_fetches
from ws_server.store.contents.blobs import Blobs, Damaged
from ws_server.store.conversation_summaries import Standing
from ws_server.store.engines import snapshot
from ws_server.store.schema import users

PAGE = 250
"""Messages in memory at a time."""
MAX_NAME = 120
"""Characters kept of a file's name; with the id, the name fits any file system."""
EARLIEST = 315_532_800
"""Unix seconds of 1980."""
INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@beside(
    "export",
    Argument("user", "the account's name"),
    Argument("file", "the zip file to write; an existing one is replaced"),
)
async def export(settings: Settings, given: Given, say: Say) -> None:
    """Write one user's profile, conversations, messages and files into a zip file."""
    data_folder.expect_realm(settings.data)
    path = Path(given["file"])
    pace = Pace(settings.data)
    with (
        whole_file(path, pace) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        made = _Export(archive, pace)
        try:
            await snapshot.read(
                data_folder.database_url(settings), lambda tx: made.write_records(tx, given["user"])
            )
            made.write_files(Blobs(settings.data))
        except ChatError as refusal:
            raise AdminRefused(refusal.message) from refusal
        except Damaged as why:
            raise AdminRefused(f"{shown(path)} was not written: {why}") from why
    say(
        f"Wrote {shown(path)}: {made.messages:,} messages of {made.conversations:,} conversations, "
        f"{len(made.files):,} files"
    )


def file_path(file: FileInfo) -> str:
    """Return a file's path in the zip: unique by its id, and valid on every system."""
    stem, dot, suffix = file.name.rpartition(".")
    if not stem:
        stem, dot, suffix = file.name, "", ""
    name = stem[: MAX_NAME - len(suffix[:20])] + dot + suffix[:20]
    return f"files/{file.id}-" + re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", name).rstrip(". ")


def zip_date(milliseconds: int) -> tuple[int, int, int, int, int, int]:
    """Return a time in UTC for a zip, whose dates begin in 1980."""
    year, month, day, hour, minute, second = time.gmtime(max(milliseconds / 1000, EARLIEST))[:6]
    return min(year, 2107), month, day, hour, minute, second


class _Export:
    def __init__(self, archive: zipfile.ZipFile, pace: Pace) -> None:
        self._archive = archive
        self._pace = pace
        self.conversations = 0
        self.messages = 0
        self.files: dict[str, Message] = {}
        """The messages that carry files, by the file's path in the zip."""

    def write_records(self, tx: Connection, name: str) -> None:
        """Write everything except the contents of files, and collect the files.

        Raises:
            ChatError: UNKNOWN_USER.
        """
        snapshot.expect_newest(tx)
        user = accounts.existing(tx, name)
        found = steps.answer(tx, conversation_summaries.standings(user.id))
        self.conversations = len(found)
        created = tx.scalar(select(users.c.created).where(users.c.id == user.id))
        profile = {
            "user": user.name,
            "real_name": user.real_name,
            "country": user.country,
            "admin": user.admin,
            "disabled": user.disabled,
            "created": created,
            "blocked": blocks.blocked_by(tx, user.id),
        }
        self._archive.writestr("profile.json", orjson.dumps(profile, option=INDENTED))
        with self._open("conversations.jsonl") as out:
            for standing in found:
                out.write(_line(conversation(tx, standing)))
        with self._open("messages.jsonl") as out:
            for standing in found:
                for message in self._history(tx, user, standing):
                    out.write(_line(message))

    def _open(self, name: str) -> IO[bytes]:
        return self._archive.open(name, "w", force_zip64=True)

    def _history(self, tx: Connection, user: User, standing: Standing) -> Iterator[dict[str, Any]]:
        """Yield all messages of a conversation that its reader may see, oldest first."""
        found = conversations.load(tx, id=standing.id, only=(user.id,))
        assert found is not None
        absent = set(tx.scalars(content_fetches.absent(tx)))
        last, more = 0, True
        while more:
            page = message_pages.page(tx, user.id, found, after=last, limit=PAGE)
            for message in page.messages:
                wire = message.to_wire()
                if message.file is not None and message.file.id not in absent:
                    path = file_path(message.file)
                    self.files[path] = message
                    wire["file"] = {**message.file.to_wire(), "path": path}
                yield wire
                last = message.seq
                self.messages += 1
            more = page.more
            self._pace.rest()

    def write_files(self, blobs: Blobs) -> None:
        """Write the contents of files.

        Raises:
            Damaged: a blob does not match its hash.
        """
        for path, message in self.files.items():
            file = message.file
            assert file is not None
            entry = zipfile.ZipInfo(path, zip_date(message.time))
            entry.external_attr = 0o600 << 16
            entry.file_size = file.size
            with self._archive.open(entry, "w") as out:
                for piece in blobs.pieces(file.sha256, file.size):
                    out.write(piece)


def conversation(tx: Connection, standing: Standing) -> dict[str, Any]:
    """Return a conversation as its reader sees it, with its members."""
    found = conversations.load(tx, id=standing.id)
    assert found is not None
    told: dict[str, Any] = {"conversation": standing.address}
    if found.number is not None:
        told["name"] = found.name
        told["members"] = [
            {"user": member.name, "role": "owner" if member.owner else "member"}
            for member in found.members.values()
        ]
    return {
        **told,
        "last_seq": standing.last_seq,
        "read_seq": standing.read_seq,
        "unread": standing.unread,
    }


def _line(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
