"""The file that a row of a link carries, each field checked as if a client had sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.protocol.file_names import clean_file_name
from shared.protocol.kinds import MEDIA_TYPE, SHA256, Number, Text
from shared.protocol.media_types import media_type
from shared.protocol.values import MAX_FILE_NAME, MAX_TEXT, BadValue
from ws_server.store.drafts import Attachment
from ws_server.store.files import StoredFile
from ws_server.store.ids import new_id

_SIZE = Number(1)
_TEXT = Text(MAX_TEXT, in_bytes=True)
"""Not held to be seen: the other realm has accepted it, and a refusal would lose it for good."""
_RAW_NAME = Text(4096)
NO_NAME = "file"
"""Stands for a file name of which nothing can be seen."""


def content(row: Mapping[str, Any]) -> tuple[str, StoredFile | None]:
    """Return what a message says: a text, or a file and no text. The file gets an id of this realm.

    Raises:
        BadValue: neither.
    """
    given = row.get("file")
    if given is None:
        return _TEXT.from_json(row.get("text")), None
    if not isinstance(given, dict) or row.get("text") != "":
        raise BadValue("a file is an object, and goes without a text")
    name = _file_name(given.get("name"))
    MEDIA_TYPE.from_json(given.get("type"))  # as its realm guessed; here it is as everywhere here
    return "", StoredFile(
        new_id("f"),
        name,
        _SIZE.from_json(given.get("size")),
        media_type(name),
        SHA256.from_json(given.get("sha256")),
    )


def _file_name(value: object) -> str:
    """Return the name of a file as it is shown here.

    Raises:
        BadValue: it is none.
    """
    name = _RAW_NAME.from_json(value)
    try:
        return clean_file_name(name)
    except BadValue:
        if len(name.encode()) > MAX_FILE_NAME:
            raise
        return NO_NAME


class TooLarge(Exception):
    """A file is larger than this realm takes."""


def check_size(attachment: Attachment | None, max_file: int) -> None:
    """Refuse a file that is larger than this realm takes.

    Raises:
        TooLarge: it is.
    """
    if attachment is not None and attachment.file.size > max_file:
        raise TooLarge
