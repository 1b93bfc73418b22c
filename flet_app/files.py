"""Received files: fetched on demand, kept for the session, handed to the person."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from flet_app.conversation import BubbleEntry
from flet_app.host import NoRoom
from flet_app.pictures import Picture, examine
from shared import disk
from shared.client import ChatClient, ChatError, NoAnswer
from shared.protocol.commands.messages import FileInfo
from shared.protocol.errors import TEMPORARY
from shared.protocol.media_types import IMAGES, media_type

MAX_SHOWN_BYTES = 8 * 2**20
"""Bytes up to which a picture is fetched by itself."""
MAX_KEPT_BYTES = 256 * 2**20
"""Bytes of files that a session keeps; the oldest are evicted first."""
RETRY_SECONDS = 10.0
"""Seconds between attempts to fetch a picture after a temporary refusal."""


def is_picture(file: FileInfo) -> bool:
    """Whether a file may be shown as a picture, by its declared type and size."""
    return media_type(file.name) in IMAGES and file.size <= MAX_SHOWN_BYTES


class AppFiles:
    """The files of one session.

    Args:
        folder: The session's own folder for the files.
        changed: Called when a file arrived or progressed.
    """

    def __init__(self, folder: Path, client: ChatClient, changed: Callable[[], None]) -> None:
        self._folder = folder
        self._client = client
        self._changed = changed
        self._here: dict[str, Path] = {}
        self._others: dict[str, Path] = {}
        """The person's own files, which the app must not remove."""
        self._coming: dict[str, asyncio.Task[Path]] = {}
        self.failed: set[str] = set()
        """Pictures whose fetch failed; they are offered like other files."""
        self._pictures: dict[str, Picture] = {}
        self._looking: dict[str, asyncio.Task[Picture]] = {}
        self._again: set[asyncio.TimerHandle] = set()

    def close(self) -> None:
        """Stop all fetches."""
        for task in (*self._coming.values(), *self._looking.values()):
            task.cancel()
        for again in self._again:
            again.cancel()
        for path in self._here.values():
            shutil.rmtree(path.parent, ignore_errors=True)

    def adopt(self, id: str, path: Path) -> None:
        """Add a file that was sent from here; the person's own file stays at its place."""
        if path.is_relative_to(self._folder):
            folder = self._place(id)
            _empty(folder)
            path = path.rename(folder / path.name)
            self._here[id] = path
            self._make_room()
        else:
            self._others[id] = path

    def path(self, id: str) -> Path | None:
        """Return the path of a file that has arrived."""
        return self._here.get(id) or self._others.get(id)

    def picture(self, entry: BubbleEntry) -> Picture | None:
        """Return the result of examining a declared picture; None until the file was fetched and
        examined."""
        assert entry.file is not None
        id = entry.file.id
        path = self.path(id)
        if path is None or not path.exists():
            if id and id not in self._coming and id not in self.failed:
                self._fetching(entry)
            return None
        if id not in self._pictures and id not in self._looking:
            task = self._looking[id] = asyncio.create_task(asyncio.to_thread(examine, path))
            task.add_done_callback(lambda done: self._looked(id, done))
        return self._pictures.get(id)

    def _looked(self, id: str, done: asyncio.Task[Picture]) -> None:
        del self._looking[id]
        if not done.cancelled():
            self._pictures[id] = Picture() if done.exception() else done.result()
            self._changed()

    async def fetch(self, entry: BubbleEntry) -> Path:
        """Fetch a message's file and return its path; `entry.done` shows the progress.

        Raises:
            ChatError: the realm refused.
            NoAnswer: there is no connection, or the transfer makes no progress.
            OSError: the file cannot be written, or its sha256 is wrong.
        """
        assert entry.file is not None
        here = self.path(entry.file.id)
        if here is not None and here.exists():
            return here
        return await asyncio.shield(self._fetching(entry))

    def cancel(self, entry: BubbleEntry) -> None:
        """Cancel the fetch of a file."""
        task = self._coming.get(entry.file.id) if entry.file else None
        if task is not None:
            task.cancel()

    def is_coming(self, entry: BubbleEntry) -> bool:
        """Whether a file is being fetched."""
        return entry.file is not None and entry.file.id in self._coming

    def _fetching(self, entry: BubbleEntry) -> asyncio.Task[Path]:
        assert entry.file is not None
        id = entry.file.id
        task = self._coming.get(id)
        if task is None:
            task = self._coming[id] = asyncio.create_task(self._fetch(entry, entry.file))
            task.add_done_callback(lambda done: self._came(entry, id, done))
        return task

    async def _fetch(self, entry: BubbleEntry, file: FileInfo) -> Path:
        def progress(done: int, size: int) -> None:
            entry.done = done / size
            self._changed()

        entry.done = 0.0
        if disk.free(self._folder) - file.size < disk.reserve(self._folder):
            raise NoRoom
        folder = self._place(file.id)
        await asyncio.to_thread(_empty, folder)
        return await self._client.save_file(file, folder, progress=progress)

    def _place(self, id: str) -> Path:
        """Return the folder of one file, under a name made here: a realm may send any id."""
        return self._folder / hashlib.sha256(id.encode()).hexdigest()[:32]

    def _came(self, entry: BubbleEntry, id: str, done: asyncio.Task[Path]) -> None:
        self._coming.pop(id, None)
        entry.done = None
        if done.cancelled() or (error := done.exception()) is not None:
            if done.cancelled() or not isinstance(error, NoAnswer):
                self.failed.add(id)
            if not done.cancelled() and isinstance(error, ChatError) and error.code in TEMPORARY:
                # For example, the content is still on its way from another realm.
                self._later(error.retry_after or RETRY_SECONDS, id)
        else:
            self._here[id] = done.result()
            self._make_room()
        self._changed()

    def _later(self, seconds: float, id: str) -> None:
        """Allow another fetch of a picture after a while."""

        def again() -> None:
            self._again.discard(timer)
            self.failed.discard(id)
            self._changed()

        timer = asyncio.get_running_loop().call_later(seconds, again)
        self._again.add(timer)

    def _make_room(self) -> None:
        sizes = {id: path.stat().st_size for id, path in self._here.items() if path.exists()}
        total = sum(sizes.values())
        for id in list(sizes)[:-1]:
            if total <= MAX_KEPT_BYTES:
                return
            total -= sizes[id]
            shutil.rmtree(self._here.pop(id).parent, ignore_errors=True)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
