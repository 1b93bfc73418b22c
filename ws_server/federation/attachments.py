"""The file that a row of a link carries, each field checked as if a client had sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.protocol.kinds import FILE_NAME, MEDIA_TYPE, MESSAGE_TEXT, SHA256, Number
from shared.protocol.values import BadValue
from ws_server.store.files import StoredFile
from ws_server.store.ids import new_id

_SIZE = Number(1)


def content(row: Mapping[str, Any]) -> tuple[str, StoredFile | None]:
    """Return what a message says: a text, or a file and no text. The file gets an id of this realm.

    Raises:
        BadValue: neither.
    """
    given = row.get("file")
    if given is None:
        return MESSAGE_TEXT.from_json(row.get("text")), None
    if not isinstance(given, dict) or row.get("text") != "":
        raise BadValue("a file is an object, and goes without a text")
    return "", StoredFile(
        new_id("f"),
        FILE_NAME.from_json(given.get("name")),
        _SIZE.from_json(given.get("size")),
        MEDIA_TYPE.from_json(given.get("type")),
        SHA256.from_json(given.get("sha256")),
    )


class TooLarge(Exception):
    """A file is larger than this realm takes."""


def check_size(file: StoredFile | None, max_file: int) -> None:
    """Refuse a file that is larger than this realm takes.

    Raises:
        TooLarge: it is.
    """
    if file is not None and file.size > max_file:
        raise TooLarge
