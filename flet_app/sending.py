"""Outgoing messages: sent in order for each conversation, until the realm has answered."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flet_app.conversation import WAITING, AppConversation, BubbleEntry
from flet_app.state import AppState, StatePart
from shared.background_tasks import BackgroundTasks
from shared.bounded import BoundedDict
from shared.client import ChatClient, ChatError
from shared.client.patience import patiently
from shared.protocol.commands.groups import SendGroup
from shared.protocol.commands.messages import FileInfo, Sent
from shared.protocol.commands.private import Send
from shared.protocol.errors import ErrorCode
from shared.protocol.media_types import media_type
from shared.protocol.spec import Request
from shared.protocol.values import Address, GroupAddress

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""Seconds before a message is repeated that was not answered, or refused temporarily."""
FILE_WAIT_SECONDS = 30.0
"""Seconds that a file waits by itself; after that the person decides."""
MAX_WAITING_LINES = 1_000
"""Messages that wait at a time."""
MAX_REMEMBERED_KEYS = 2_000
"""Given keys that are remembered, so that a repeated line is sent once."""
MAX_FILES_AT_ONCE = 2


@dataclass(slots=True, eq=False)
class FileUpload:
    """A file that is shown; the browser may still be uploading its content."""

    sending: Sending
    c: AppConversation
    entry: BubbleEntry
    path: Path
    """Path of the content, once complete."""
    url: str = ""
    """URL of the browser's upload."""
    release: Callable[[], None] = lambda: None
    """Called when the upload is no longer needed: sent, refused or cancelled."""

    def progress(self, done: float) -> None:
        """Show the browser's progress, 0 to 1; the transfer to the realm is the other half."""
        self.entry.done = done / 2
        self.sending.progressed()

    def ready(self, *, came: bool) -> None:
        """The content is complete; `came` if from a browser."""
        self.sending.send_file(self, 0.5 if came else 0.0)

    def broke(self, why: str) -> None:
        """The upload failed."""
        self.sending.refuse(self, why)


class Sending:
    """One person's outgoing messages. Repetitions use the same key, so the realm stores each once.

    Args:
        sent: Called with a file's id and the path of its content, once the realm has the file.
    """

    def __init__(
        self, state: AppState, client: ChatClient, sent: Callable[[str, Path], None]
    ) -> None:
        self._state = state
        self._client = client
        self._sent = sent
        self._lanes: dict[str, deque[BubbleEntry]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Of the texts of a conversation by its address, of a file by its key."""
        self._background = BackgroundTasks(
            lambda error: log.error("sending failed", exc_info=error)
        )
        self._turns = asyncio.Semaphore(MAX_FILES_AT_ONCE)
        self._uploads: dict[str, FileUpload] = {}
        """The files on their way, by key."""
        self._keys: BoundedDict[str, bool] = BoundedDict(MAX_REMEMBERED_KEYS)
        """Those that were given: whether they are answered."""
        self._answered: dict[str, Callable[[], None]] = {}

    def close(self) -> None:
        """Stop sending."""
        for task in self._tasks.values():
            task.cancel()
        uploads, self._uploads = self._uploads, {}
        for upload in uploads.values():
            upload.release()

    def text(
        self,
        c: AppConversation,
        text: str,
        key: str = "",
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """Show a text at once; send it after the earlier ones.

        Args:
            key: The idempotency key, which stays valid over a restart of the app.
            answered: Called when the realm has accepted or refused the text.

        Raises:
            ChatError: UNAVAILABLE, too many messages wait.
        """
        self._check_room()
        entry = self._own(c, text, key)
        if key:
            self.remember(key, answered=False)
            self._answered[key] = answered
        self._state.put(c, entry)
        lane = self._lanes.setdefault(c.address, deque())
        lane.append(entry)
        if c.address not in self._tasks:
            self._start(c.address, self._deliver(c, lane))

    def file(self, c: AppConversation, path: Path, name: str, size: int) -> FileUpload:
        """Show a file at once. It is sent in parallel to the texts once `ready` is called.

        Raises:
            ChatError: UNAVAILABLE, too many messages wait; TOO_LARGE; BAD_ARGUMENTS, the file is
            empty.
        """
        if size == 0:
            raise ChatError(ErrorCode.BAD_ARGUMENTS, "It is empty, and empty files cannot be sent")
        limits = self._state.limits
        if limits is not None and size > limits.file:
            most = f"{limits.file / 2**20:,.0f} MiB"
            raise ChatError(ErrorCode.TOO_LARGE, f"A file has at most {most} here")
        self._check_room()
        entry = self._own(c, "")
        type = media_type(name)
        entry.file, entry.done = FileInfo("", name, size, type, ""), 0.0
        upload = self._uploads[entry.key] = FileUpload(self, c, entry, path)
        self._state.put(c, entry)
        return upload

    def send_file(self, upload: FileUpload, begin: float) -> None:
        """Send a file whose content is complete; its progress goes from `begin` to 1."""
        if upload.entry.key in self._uploads:
            self._start(upload.entry.key, self._send_file(upload, begin))

    def refuse(self, upload: FileUpload, why: str) -> None:
        """Mark a file as refused."""
        if self._uploads.pop(upload.entry.key, None) is not None:
            self._state.refused(upload.c, upload.entry, why)
            upload.release()

    def progressed(self) -> None:
        """Show the progress of a file."""
        self._state.changed(StatePart.MESSAGES)

    def cancel(self, c: AppConversation, entry: BubbleEntry) -> None:
        """Cancel a file and remove its bubble."""
        upload = self._uploads.pop(entry.key, None)
        if upload is not None:
            if (task := self._tasks.get(entry.key)) is not None:
                task.cancel()
            self._state.withdrawn(c, entry)
            upload.release()

    def knows(self, key: str) -> bool | None:
        """Tell whether the message with this key is answered; None for an unknown key."""
        return self._keys.get(key)

    def remember(self, key: str, *, answered: bool) -> None:
        """Remember a key that was given, or that it is answered."""
        self._keys[key] = answered

    def _own(self, c: AppConversation, text: str, key: str = "") -> BubbleEntry:
        key = key or secrets.token_hex(16)
        return BubbleEntry(key, self._state.user, text, int(time.time() * 1000), state=WAITING)

    def _check_room(self) -> None:
        if len(self._uploads) + sum(map(len, self._lanes.values())) >= MAX_WAITING_LINES:
            raise ChatError(
                ErrorCode.UNAVAILABLE,
                f"{MAX_WAITING_LINES:,} messages wait already; try again when some have gone",
            )

    def _start(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[key] = self._background.start(work)
        self._tasks[key].add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _deliver(self, c: AppConversation, lane: deque[BubbleEntry]) -> None:
        """Send the texts of a conversation in order."""
        while lane:
            entry = lane[0]
            try:
                reply = await self._until_answered(c, entry, _request(c, entry))
                if reply is not None:
                    self._state.sent(c, entry, reply)
            except Exception as error:
                log.exception("a message could not be sent")
                self._state.refused(c, entry, type(error).__name__)
            lane.popleft()
            if (answered := self._answered.pop(entry.key, None)) is not None:
                self.remember(entry.key, answered=True)
                answered()

    async def _until_answered(
        self, c: AppConversation, entry: BubbleEntry, request: Request[Sent]
    ) -> Sent | None:
        try:
            return await patiently(
                lambda: self._client.call(request), RETRY_SECONDS, unanswered=True
            )
        except ChatError as error:
            self._state.refused(c, entry, error.message)
            return None

    async def _send_file(self, upload: FileUpload, begin: float) -> None:
        c, entry = upload.c, upload.entry
        assert entry.file is not None

        def progress(done: int, size: int) -> None:
            entry.done = begin + (1 - begin) * done / size
            self._state.changed(StatePart.MESSAGES)

        async with self._turns:
            send = partial(
                self._client.send_file,
                *(c.address, upload.path),
                name=entry.file.name,
                progress=progress,
                idempotency_key=entry.key,
            )
            try:
                reply = await patiently(
                    send, RETRY_SECONDS, longest=FILE_WAIT_SECONDS, unanswered=True
                )
            except ChatError as error:
                return self.refuse(upload, error.message)
            except OSError as error:
                return self.refuse(upload, error.strerror or str(error))
            except Exception as error:
                log.exception("a file could not be sent")
                return self.refuse(upload, type(error).__name__)
        del self._uploads[entry.key]
        self._state.sent(c, entry, reply)
        try:
            if reply.file is not None:
                self._sent(reply.file.id, upload.path)
        except OSError as error:
            log.warning("a file that was sent is not kept: %s", error)
        finally:
            upload.release()


def _request(c: AppConversation, entry: BubbleEntry) -> Request[Sent]:
    if c.is_group:
        return SendGroup(GroupAddress.parse(c.address), entry.text, entry.key)
    return Send(Address.parse(c.address), entry.text, entry.key)
