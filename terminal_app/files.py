"""Files sent from this disk and saved on it, with a bar for each that is under way."""

from __future__ import annotations

from pathlib import Path

from shared.client import ChatClient, ChatError, ErrorCode
from shared.protocol.commands.files import ChunkTaken
from shared.protocol.commands.messages import FileInfo, Sent
from shared.protocol.spec import Reply, record, result
from terminal_app.commands import SaveFile, SendPath
from terminal_app.paths import as_text, check_sendable
from terminal_app.progress import Bars

MIB = 2**20
MOST_BY_ITSELF = 1024 * MIB
"""Bytes that are saved in one run without being asked for, so that nobody can fill the disk."""
MOST_AT_ONCE = 50
"""Files that are being saved without being asked for."""


@record
class Saved(Reply):
    """The file is here, whole, under a name that no file had."""

    path: str = result("where it is, as it can be shown")

    def sentence(self) -> str:
        return f"Saved as {self.path}"


class Files:
    """Sends and saves.

    Args:
        downloads: Where files go that are saved; made when the first one comes.
        save_up_to: Bytes up to which a file is saved as it arrives; 0 for none.
    """

    def __init__(self, client: ChatClient, bars: Bars, downloads: Path, save_up_to: int) -> None:
        self._client = client
        self._bars = bars
        self._downloads = downloads
        self._save_up_to = save_up_to
        self._left = MOST_BY_ITSELF
        self._coming = 0

    async def send(self, request: SendPath) -> Sent:
        """Send a file and return what `sendfile` answers.

        Raises:
            ChatError: it cannot be sent, or the server refused.
            NoAnswer: no connection in time; it may be sent again, and goes on where it was.
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

    async def save(self, request: SaveFile) -> Saved:
        """Fetch a file and return where it was put.

        Raises:
            ChatError: it cannot be written, or the server refused.
            NoAnswer: no connection in time; nothing is left behind.
        """
        return await self._save(request.file, request.file, 0, request.folder)

    def is_taken(self, file: FileInfo) -> bool:
        """Whether a file that arrives is saved without being asked for."""
        return file.size <= min(self._save_up_to, self._left) and self._coming < MOST_AT_ONCE

    async def take(self, file: FileInfo) -> Saved:
        """Save a file that arrived; see `save`."""
        self._coming += 1
        self._left -= file.size
        try:
            return await self._save(file, file.name, file.size, None)
        finally:
            self._coming -= 1

    async def _save(self, file: FileInfo | str, name: str, size: int, folder: Path | None) -> Saved:
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
        return Saved(as_text(path.absolute()))


def _sent(taken: ChunkTaken) -> Sent:
    """Return the answer to the last piece as that of `sendfile`."""
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
    """Return the refusal of what this disk did not do."""
    what = error.strerror or str(error)
    where = f": {as_text(error.filename)}" if isinstance(error.filename, str | Path) else ""
    return ChatError(ErrorCode.UNAVAILABLE, f"{what}{where}")
