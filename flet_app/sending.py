"""Messages on their way to the realm: each conversation in order, until the realm has answered."""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
import time
from collections import deque
from pathlib import Path

from flet_app.conversation import WAITING, Conversation, Entry
from flet_app.state import Part, State
from shared.client import ChatClient, ChatError, NoAnswer
from shared.protocol.commands.groups import SendGroup
from shared.protocol.commands.messages import FileInfo, Sent
from shared.protocol.commands.private import Send
from shared.protocol.errors import TEMPORARY, ErrorCode
from shared.protocol.spec import Request
from shared.protocol.values import Address, GroupAddress

PAUSE = 2.0
"""Seconds before what was not answered, or refused for now, is sent again."""
MAX_WAITING = 1_000
"""Messages that wait at a time."""
FILES_AT_ONCE = 2


class Sending:
    """What one person sends. A message is repeated under its key, so the realm takes it once."""

    def __init__(self, state: State, client: ChatClient) -> None:
        self._state = state
        self._client = client
        self._lanes: dict[str, deque[Entry]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Of the texts of a conversation by its address, of a file by its key."""
        self._turns = asyncio.Semaphore(FILES_AT_ONCE)
        self._files: dict[str, Path] = {}
        """Where the files on their way are, by key."""

    def close(self) -> None:
        """Send nothing more."""
        for task in self._tasks.values():
            task.cancel()

    def text(self, c: Conversation, text: str) -> None:
        """Show a text at once, and send it after those before it.

        Raises:
            ChatError: UNAVAILABLE, too many wait already.
        """
        self._check_room()
        entry = self._own(c, text)
        self._state.put(c, entry)
        lane = self._lanes.setdefault(c.address, deque())
        lane.append(entry)
        if c.address not in self._tasks:
            self._start(c.address, self._deliver(c, lane))

    def file(self, c: Conversation, path: Path, name: str) -> None:
        """Show a file at once, and send it beside the texts; it stays until it is there.

        Raises:
            OSError: it cannot be read.
            ChatError: UNAVAILABLE, too many wait already; TOO_LARGE.
        """
        size = path.stat().st_size
        limits = self._state.limits
        if size == 0:
            raise OSError(f"{name} is empty")
        if limits is not None and size > limits.file:
            most = f"{limits.file / 2**20:.0f} MiB"
            raise ChatError(ErrorCode.TOO_LARGE, f"A file has at most {most} here")
        self._check_room()
        type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        entry = self._own(c, "")
        entry.file, entry.done = FileInfo("", name, size, type, ""), 0
        self._files[entry.key] = path
        self._state.put(c, entry)
        self._start(entry.key, self._send_file(c, entry))

    def path_of(self, entry: Entry) -> Path | None:
        """Return where a file that was sent from here lies."""
        return self._files.get(entry.key)

    def cancel(self, c: Conversation, entry: Entry) -> None:
        """Send a file no further, and show it no more."""
        task = self._tasks.get(entry.key)
        if task is not None and entry.state == WAITING:
            task.cancel()
            self._files.pop(entry.key, None)
            self._state.withdrawn(c, entry)

    def _own(self, c: Conversation, text: str) -> Entry:
        key = secrets.token_hex(16)
        return Entry(key, self._state.user, text, int(time.time() * 1000), state=WAITING)

    def _check_room(self) -> None:
        if len(self._files) + sum(map(len, self._lanes.values())) >= MAX_WAITING:
            raise ChatError(
                ErrorCode.UNAVAILABLE,
                f"{MAX_WAITING:,} messages wait already; try again when some have gone",
            )

    def _start(self, key: str, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _deliver(self, c: Conversation, lane: deque[Entry]) -> None:
        """Send the texts of a conversation, one after the other."""
        while lane:
            entry = lane[0]
            reply = await self._until_answered(c, entry, _request(c, entry))
            lane.popleft()
            if reply is not None:
                self._state.sent(c, entry, reply)

    async def _until_answered(
        self, c: Conversation, entry: Entry, request: Request[Sent]
    ) -> Sent | None:
        while True:
            try:
                return await self._client.call(request)
            except NoAnswer:
                await asyncio.sleep(PAUSE)
            except ChatError as error:
                if error.code not in TEMPORARY:
                    self._state.refused(c, entry, error.message)
                    return None
                await asyncio.sleep(error.retry_after or PAUSE)

    async def _send_file(self, c: Conversation, entry: Entry) -> None:
        assert entry.file is not None

        def progress(done: int, _: int) -> None:
            entry.done = done
            self._state.changed(Part.MESSAGES)

        async with self._turns:
            while True:
                path = self._files[entry.key]
                try:
                    reply = await self._client.send_file(
                        *(c.address, path),
                        name=entry.file.name,
                        progress=progress,
                        idempotency_key=entry.key,
                    )
                except NoAnswer:
                    await asyncio.sleep(PAUSE)
                except ChatError as error:
                    if error.code not in TEMPORARY:
                        self._state.refused(c, entry, error.message)
                        return
                    await asyncio.sleep(error.retry_after or PAUSE)
                except OSError as error:
                    self._state.refused(c, entry, str(error))
                    return
                else:
                    self._state.sent(c, entry, reply)
                    return


def _request(c: Conversation, entry: Entry) -> Request[Sent]:
    if c.is_group:
        return SendGroup(GroupAddress.parse(c.address), entry.text, entry.key)
    return Send(Address.parse(c.address), entry.text, entry.key)
