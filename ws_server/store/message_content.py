"""The content of a message: its columns in the tables, its fields on links and on the wire.

All code that writes, reads or sends messages passes a `MessageContent` on as a whole, so a new
field is added here, in `Message`, and as a column of both tables.
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
"""The columns of a message's content, in `messages` and in `posts`."""
ON_LINK = ("text", "file", "bot")
"""The fields of a message's content on a link."""
COLUMNS = tuple(messages.c[name] for name in NAMES)
POST_COLUMNS = tuple(posts.c[name] for name in NAMES)
FILE_COLUMNS = (
    files.c.name.label("file_name"),
    files.c.size.label("file_size"),
    files.c.type.label("file_type"),
    files.c.sha256,
)
"""The columns of the joined table of files that `from_row` needs besides `COLUMNS`."""
_SIZE = Number(1)
_TEXT = Text(MAX_TEXT, in_bytes=True)
"""Accepts invisible text: the other realm has accepted it, so a refusal would lose the message."""
_RAW_NAME = Text(4096)
NO_NAME = "file"
"""Replaces a file name without visible characters."""


@dataclass(slots=True)
class MessageContent:
    """A text, or a file without a text; fields are `Final` for the reason given at `Draft`."""

    text: Final[str] = ""
    file: Final[StoredFile | None] = None
    bot: Final[bool] = False
    """Written by a program."""

    def values(self) -> tuple[object, ...]:
        """Return the values of the columns `NAMES`."""
        return self.text, None if self.file is None else self.file.id, self.bot

    def on_link(self) -> dict[str, Any]:
        """Return the fields of a link's row, which `from_link` parses."""
        fields: dict[str, Any] = {"text": self.text}
        if self.file is not None:
            fields["file"] = self.file.on_link()
        if self.bot:
            fields["bot"] = True
        return fields

    @property
    def proof(self) -> str:
        """The text, or the sha256 of the file, as signed by the id of a post."""
        return self.text if self.file is None else self.file.sha256


def either() -> tuple[ColumnElement[Any], ...]:
    """Return `COLUMNS` for rows joined with a message or with a post."""
    pairs = zip(COLUMNS, POST_COLUMNS, strict=True)
    return tuple(func.coalesce(*pair).label(pair[0].name) for pair in pairs)


def load(tx: Connection, text: str, file_id: str | None, bot: bool | int) -> MessageContent:
    """Return the content from the values of the columns `NAMES`; a file costs a query."""
    file = None if file_id is None else file_store.get(tx, file_id)
    return MessageContent(text, file, bool(bot))


def from_row(row: Any) -> MessageContent:
    """Return the content of a row with `COLUMNS` and `FILE_COLUMNS`."""
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
        state: The delivery state of the reader's own message; None for other messages.
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
    """Return the content of a link's row, each field checked like a client's.

    The file gets an id of this realm.

    Raises:
        BadValue: a field is invalid, or there is neither a text nor a file.
    """
    bot = row.get("bot") is True
    given = row.get("file")
    if given is None:
        return MessageContent(_TEXT.from_json(row.get("text")), bot=bot)
    if not isinstance(given, dict) or row.get("text") != "":
        raise BadValue("a file must be an object, and its text empty")
    name = _file_name(given.get("name"))
    MEDIA_TYPE.from_json(given.get("type"))  # checked only; the type shown is derived from the name
    size, sha256 = _SIZE.from_json(given.get("size")), SHA256.from_json(given.get("sha256"))
    return MessageContent("", StoredFile(new_id("f"), name, size, media_type(name), sha256), bot)


def _file_name(value: object) -> str:
    """Return the cleaned name of a file.

    Raises:
        BadValue: it is not a name, or is too long.
    """
    name = _RAW_NAME.from_json(value)
    try:
        return clean_file_name(name)
    except BadValue:
        if len(name.encode()) > MAX_FILE_NAME:
            raise
        return NO_NAME
