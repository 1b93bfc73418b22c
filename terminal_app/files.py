"""Sends local files and saves received ones, with a progress bar for each."""

from __future__ import annotations

from pathlib import Path

from shared.client import ChatClient, ChatError, ErrorCode
from shared.protocol.commands.files import ChunkTaken
from shared.protocol.commands.messages import FileInfo, Sent
from shared.protocol.records import Reply, record, result
from terminal_app.commands import SaveFile, SendPath
from terminal_app.paths import as_text, check_sendable
from terminal_app.progress import Bars

MIB = 2**20
MAX_BYTES_UNASKED = 1024 * MIB
"""Bytes saved automatically in one run, so that nobody can fill the disk."""
MAX_FILES_AT_ONCE = 50
"""Files saved automatically at a time."""


@record
class FileSaved(Reply):
    """The file was saved completely, under a new name."""

    path: str = result("where it is, as it can be shown")

    def sentence(self) -> str:
        return f"Saved as {self.path}"


class TerminalFiles:
    """Sends and saves files.

    Args:
        downloads: The folder for saved files; created with the first one.
        save_up_to: Bytes up to which arriving files are saved automatically; 0 for none.
    """

    def __init__(self, client: ChatClient, bars: Bars, downloads: Path, save_up_to: int) -> None:
        self._client = client
        self._bars = bars
        self._downloads = downloads
        self._save_up_to = save_up_to
        self._left = MAX_BYTES_UNASKED
        self._coming = 0

    async def send(self, request: SendPath) -> Sent:
        """Send a file; return the reply of `sendfile`.

        Raises:
            ChatError: the file cannot be sent, or the server refused.
            NoAnswer: no connection in time; sent again, the file resumes where it was.
        """
        limits = self._client.limits
        size = check_sendable(request.path, limits.file if limits else None)
        bar = self._bars.begin("sending", request.path.name, size)
        try:
            taken = await self._client.send_file(request.to, request.path, progress=bar.move)
        except OSError as error:
            raise _failed(error) from None
        finally:
            bar.end()
        return _sent(taken)

    async def save(self, request: SaveFile) -> FileSaved:
        """Fetch a file and return its path.

        Raises:
            ChatError: the file cannot be written, or the server refused.
            NoAnswer: no connection in time; no file is left behind.
        """
        return await self._save(request.file, request.file, 0, request.folder)

    def is_taken(self, file: FileInfo) -> bool:
        """Whether an arriving file is saved automatically."""
        return file.size <= min(self._save_up_to, self._left) and self._coming < MAX_FILES_AT_ONCE

    async def take(self, file: FileInfo) -> FileSaved:
        """Save an arriving file; see `save`."""
        self._coming += 1
        self._left -= file.size
        try:
            return await self._save(file, file.name, file.size, None)
        finally:
            self._coming -= 1

    async def _save(
        self, file: FileInfo | str, name: str, size: int, folder: Path | None
    ) -> FileSaved:
        bar = self._bars.begin("saving", name, size)
        try:
            if folder is None:
                folder = self._downloads
                folder.mkdir(parents=True, exist_ok=True)
            path = await self._client.save_file(file, folder, progress=bar.move)
        except OSError as error:
            raise _failed(error) from None
        finally:
            bar.end()
        return FileSaved(as_text(path.absolute()))


def _sent(taken: ChunkTaken) -> Sent:
    """Return the reply to the last chunk as one of `sendfile`."""
    assert taken.conversation is not None and taken.message_id is not None
    sent = Sent(
        conversation=taken.conversation,
        seq=taken.seq,
        message_id=taken.message_id,
        time=taken.time or 0,
        state=taken.state or "",
        duplicate=taken.duplicate,
        file=taken.file,
    )
    sent.said = taken.said
    return sent


def _failed(error: OSError) -> ChatError:
    """Return the refusal for an error of the local disk."""
    what = error.strerror or str(error)
    where = f": {as_text(error.filename)}" if isinstance(error.filename, str | Path) else ""
    return ChatError(ErrorCode.UNAVAILABLE, f"{what}{where}")
