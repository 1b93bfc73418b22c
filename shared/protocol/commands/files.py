"""Files: in one frame, or in chunks that resume."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.protocol.commands.messages import (
    FileInfo,
    Sent,
    bot_mark,
    counted,
    idempotency_key,
    sent_in_words,
    size_in_words,
)
from shared.protocol.kinds import (
    BASE64,
    CONVERSATION,
    FILE_NAME,
    GROUP,
    IDENTIFIER,
    SHA256,
    USER,
    Number,
    Pattern,
)
from shared.protocol.records import Event, Reply, event, record, result, unsent
from shared.protocol.spec import Remote, Request, arg, command
from shared.protocol.values import Address, ConversationAddress, GroupAddress

NO_PATHS = (
    "<data> is missing: the server opens no files, so put the content as base64 after the name"
)
MIN_BASE64_LETTERS = 16
"""Letters from which a word counts as a line of base64 rather than a part of a file name."""


def unlike_a_file(bare: Mapping[str, str]) -> str | None:
    """Return why typed words may not be a name and base64, or None.

    With blanks allowed in base64, `my note aGk=` would be a file `my` with the content `noteaGk=`.
    """
    data = bare.get("data", "").strip()
    *lines, last = data.split() or [""]
    if not lines or "\n" in data or "," in data:  # broken into lines, or a data: URL
        return None
    sizes = {len(line) for line in lines}
    even = len(sizes) == 1 and len(last) <= max(sizes) and max(sizes) % 4 == 0
    if (
        even
        and "." in bare.get("name", ".")
        and (max(sizes) >= MIN_BASE64_LETTERS or last.endswith("="))
    ):
        return None
    return (
        "data: must be base64, and with blanks in it stand in double quotes; so must a name with "
        'blanks, as in "my note.txt"'
    )


FILES_MODE = Pattern(re.compile("push|offer"), "push or offer")


@record
class UploadOpened(Reply):
    """The upload may continue at `offset`."""

    upload: str = result("its name for chunk")
    offset: int = result("bytes already here")
    chunk: int = result("raw bytes to send in one chunk")

    def sentence(self) -> str:
        done = "goes on" if self.offset else "begins"
        return f"Upload {self.upload} {done} at {self.offset}"

    def lines(self) -> list[str]:
        return [f"next: chunk {self.upload} {self.offset} <base64 of up to {self.chunk:,} bytes>"]


@record
class ChunkTaken(Reply):
    """The chunk is stored; the reply to the last one has the fields of sendfile."""

    offset: int = result("bytes now here")
    conversation: str | None = result("where the file went", default=None)
    seq: int | None = result("its place there", default=None)
    message_id: str | None = result("the message's id", default=None)
    time: int | None = result("Unix milliseconds", default=None)
    state: str | None = result("stored, queued or delivered", default=None)
    duplicate: bool | None = result("true: the key was used before", default=None)
    file: FileInfo | None = result("the file", default=None)

    def sentence(self) -> str:
        if self.file is None:
            return f"{counted(self.offset, 'byte')} received"
        return sent_in_words(self.conversation, self.seq, self.state, self.duplicate)

    def lines(self) -> list[str]:
        return [f"file {self.file.id}"] if self.file else []


@record
class FileOffered(Reply):
    """The content follows as `file` events."""

    file: FileInfo = result("the file")

    def sentence(self) -> str:
        return f"{self.file.id} follows, {size_in_words(self.file.size)}"


@record
class FilesMode(Reply):
    """The mode of file transfer of this session from now on."""

    mode: str = unsent(default="")

    def sentence(self) -> str:
        return f"Files: {self.mode}"


@event("file")
class FileChunk(Event):
    """A piece of a file's content, after its message (up to 8 MiB) or after getfile."""

    file: str = result("the file's id")
    offset: int = result("where the piece begins, in bytes")
    data: str = result("base64")
    last: bool = result("the content is complete with this piece")

    def line(self) -> str:
        return f"FILE {self.file} {self.offset} {self.data}"


@command("sendfile", realm_name="sendfilerealm", remote=Remote.QUEUED)
class SendFile(Request[Sent]):
    """Send a file of up to 512 KiB to one person."""

    to: Address = arg("who receives it", USER)
    name: str = arg("the file's name", FILE_NAME)
    data: bytes = arg("the content in base64", BASE64, missing=NO_PATHS)
    idempotency_key: str | None = idempotency_key()
    bot: bool | None = bot_mark()

    doubt = staticmethod(unlike_a_file)


@command("sendgroupfile", realm_name="sendgroupfilerealm", remote=Remote.QUEUED)
class SendGroupFile(Request[Sent]):
    """Send a file of up to 512 KiB to a group."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    name: str = arg("the file's name", FILE_NAME)
    data: bytes = arg("the content in base64", BASE64, missing=NO_PATHS)
    idempotency_key: str | None = idempotency_key()
    bot: bool | None = bot_mark()

    doubt = staticmethod(unlike_a_file)


@command("upload", remote=Remote.QUEUED)
class Upload(Request[UploadOpened]):
    """Start or resume sending a larger file; the message appears after the last chunk."""

    to: ConversationAddress = arg("a person, or a group as #12", CONVERSATION)
    name: str = arg("the file's name", FILE_NAME)
    size: int = arg("bytes", Number(1))
    sha256: str = arg("of the whole content", SHA256)
    idempotency_key: str | None = idempotency_key()
    bot: bool | None = bot_mark()


@command("chunk")
class Chunk(Request[ChunkTaken]):
    """Send the next piece of an upload."""

    upload: str = arg("what upload answered", IDENTIFIER)
    offset: int = arg("where the piece begins: the offset last answered", Number())
    data: bytes = arg("the piece in base64", BASE64)


@command("getfile", repeatable=True)
class GetFile(Request[FileOffered]):
    """Fetch a file's content as `file` events."""

    file: str = arg("the file's id", IDENTIFIER)
    offset: int = arg("where to begin, in bytes", Number(), default=0)


@command("files", repeatable=True)
class Files(Request[FilesMode]):
    """Choose whether the content of files is pushed or only offered."""

    mode: str = arg("push or offer", FILES_MODE)
