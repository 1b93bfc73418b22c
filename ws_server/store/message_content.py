"""What a message says: its columns in the tables, its fields on links and on the wire.

All that write, read or send messages pass a `MessageContent` on as a whole, so a new field of a
message is added in this module alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, func

from shared.protocol.commands.messages import Message
from shared.protocol.file_names import clean_file_name
from shared.protocol.kinds import MEDIA_TYPE, SHA256, Number, Text
from shared.protocol.media_types import media_type
from shared.protocol.values import MAX_FILE_NAME, MAX_TEXT, BadValue
from ws_server.store.contents import files as file_store
from ws_server.store.contents.files import StoredFile
from ws_server.store.ids import new_id
from ws_server.store.schema import files, messages, posts

M = TypeVar("M", bound=Message)

NAMES = ("text", "file_id", "bot")
"""The columns of what a message says, of `messages` and of `posts`."""
COLUMNS = tuple(messages.c[name] for name in NAMES)
POST_COLUMNS = tuple(posts.c[name] for name in NAMES)
FILE_COLUMNS = (
    files.c.name.label("file_name"),
    files.c.size.label("file_size"),
    files.c.type.label("file_type"),
    files.c.sha256,
)
"""Those of the joined table of files that `from_row` needs beside `COLUMNS`."""
_SIZE = Number(1)
_TEXT = Text(MAX_TEXT, in_bytes=True)
"""Not held to be seen: the other realm has accepted it, and a refusal would lose it for good."""
_RAW_NAME = Text(4096)
NO_NAME = "file"
"""Stands for a file name of which nothing can be seen."""


@dataclass(slots=True)
class MessageContent:
    """A text, or a file and no text; `Final` for the reason of `Draft`."""

    text: Final[str] = ""
    file: Final[StoredFile | None] = None
    bot: Final[bool] = False
    """A program wrote it."""

    def values(self) -> tuple[object, ...]:
        """Return the values of the columns `NAMES`."""
        return self.text, None if self.file is None else self.file.id, self.bot

    def on_link(self) -> dict[str, Any]:
        """Return the fields of a row of a link; `from_link` reads them."""
        said: dict[str, Any] = {"text": self.text}
        if self.file is not None:
            said["file"] = self.file.on_link()
        if self.bot:
            said["bot"] = True
        return said

    @property
    def proof(self) -> str:
        """The text, or the sha256 of the file: what the id of a post proves."""
        return self.text if self.file is None else self.file.sha256


def either() -> tuple[ColumnElement[Any], ...]:
    """Return `COLUMNS` of rows that are joined with a message or with a post."""
    pairs = zip(COLUMNS, POST_COLUMNS, strict=True)
    return tuple(func.coalesce(*pair).label(pair[0].name) for pair in pairs)


def load(tx: Connection, text: str, file_id: str | None, bot: bool | int) -> MessageContent:
    """Return what a row of the columns `NAMES` says; its file costs a query."""
    file = None if file_id is None else file_store.get(tx, file_id)
    return MessageContent(text, file, bool(bot))


def from_row(row: Any) -> MessageContent:
    """Return what a row says that has `COLUMNS` and `FILE_COLUMNS`."""
    file = None
    if row.file_id is not None:
        file = StoredFile(row.file_id, row.file_name, row.file_size, row.file_type, row.sha256)
    return MessageContent(row.text, file, bool(row.bot))


def shown(
    kind: type[M],
    id: str,
    conversation: str,
    seq: int,
    sender: str,
    time: int,
    content: MessageContent,
    state: str | None,
) -> M:
    """Return a message as its reader sees it.

    Args:
        state: Of a message of the reader's own; None for others.
    """
    return kind(
        id,
        conversation,
        seq,
        sender,
        time,
        content.text,
        content.file,
        state,
        content.bot or None,
    )


def from_link(row: Mapping[str, Any]) -> MessageContent:
    """Return what a row of a link says, each field checked as if a client had sent it.

    The file gets an id of this realm.

    Raises:
        BadValue: neither a text nor a file.
    """
    bot = row.get("bot") is True
    given = row.get("file")
    if given is None:
        return MessageContent(_TEXT.from_json(row.get("text")), bot=bot)
    if not isinstance(given, dict) or row.get("text") != "":
        raise BadValue("a file is an object, and goes without a text")
    name = _file_name(given.get("name"))
    MEDIA_TYPE.from_json(given.get("type"))  # as its realm guessed; here it is as everywhere here
    size, sha256 = _SIZE.from_json(given.get("size")), SHA256.from_json(given.get("sha256"))
    return MessageContent("", StoredFile(new_id("f"), name, size, media_type(name), sha256), bot)


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
