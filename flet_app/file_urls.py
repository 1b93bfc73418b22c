"""`/files/TICKET`: downloads and uploads of a browser, each file at its own URL.

A ticket is 256 random bits and is valid only for the browser it was issued to.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from flet_app.browser_identity import VISITOR_KEY
from flet_app.host import ExpectedUpload, NoRoom, TooManyFiles
from shared import disk
from shared.protocol.file_names import clean_file_name
from shared.protocol.media_types import IMAGES
from shared.protocol.values import BadValue

MAX_TICKETS = 2_000
"""Tickets of one session."""
MAX_EXPECTED_UPLOADS = 100
"""Uploads of one session, expected or received, that are not withdrawn."""
MAX_EXPECTED_BYTES = 1 << 30
"""Bytes of these uploads."""
MAX_UPLOADS_AT_ONCE = 4
"""Uploads of one session at a time; others wait."""
LIFETIME_SECONDS = 600.0
"""Seconds within which an expected upload must start."""
SILENCE_SECONDS = 30.0
"""Seconds without a byte after which an upload is aborted."""
MIN_BYTES_A_SECOND = 8 << 10
"""Average bytes a second that an upload must reach."""
DRAIN_SECONDS = 5.0
MAX_DRAINED_BYTES = 64 << 20
"""Seconds and bytes of a refused upload that are still read."""
PIECE_BYTES = 1 << 20
"""Bytes written at a time."""


@dataclass(slots=True)
class Ticket:
    """One file of one session."""

    session: SessionFiles
    path: Path
    type: str = ""
    """The media type to show the file as; empty for a file to save."""
    name: str = ""
    size: int = -1
    """Bytes expected of an upload; -1 for a download."""
    until: float | None = None
    """Monotonic time by which an upload must start; None once it has started."""


class Tickets:
    """The tickets of all sessions; the endpoint of the route."""

    def __init__(self, folder: Path) -> None:
        """Begin with none.

        Args:
            folder: Where sessions make their folders for files.
        """
        self.folder = folder
        self._tickets: dict[str, Ticket] = {}

    def add(self, ticket: Ticket) -> str:
        """Return the URL of a new ticket."""
        secret = secrets.token_urlsafe(32)
        self._tickets[secret] = ticket
        return f"/files/{secret}"

    @property
    def promised(self) -> int:
        """Bytes that browsers have announced and not sent yet."""
        return sum(t.size for t in self._tickets.values() if t.size >= 0 and not t.path.exists())

    def get(self, url: str) -> Ticket | None:
        """Return the ticket with this URL."""
        return self._tickets.get(url.removeprefix("/files/"))

    def remove(self, url: str) -> None:
        """End a ticket."""
        self._tickets.pop(url.removeprefix("/files/"), None)

    async def serve(self, request: Request) -> Response:
        """Answer GET, HEAD and PUT; 404 without a valid ticket."""
        try:
            return await self._answer(request)
        except HTTPException:
            await _drain(request)
            raise

    async def _answer(self, request: Request) -> Response:
        ticket = self._tickets.get(request.path_params["ticket"])
        browser = request.scope[VISITOR_KEY].browser
        if ticket is None or not hmac.compare_digest(
            browser.encode(), ticket.session.browser.encode()
        ):
            raise HTTPException(404)
        putting = request.method == "PUT"
        if putting != (ticket.size >= 0):
            raise HTTPException(405, headers={"Allow": "GET, HEAD" if putting else "PUT"})
        return await _take(request, ticket) if putting else _give(ticket)


@dataclass(slots=True)
class SessionFiles:
    """The files of one session, below a folder of its own."""

    tickets: Tickets
    browser: str
    folder: Path
    _urls: set[str] = field(default_factory=set)
    _shown: dict[Path, str] = field(default_factory=dict)
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_UPLOADS_AT_ONCE))

    def show(self, path: Path, type: str) -> str:
        """See `PageHost.show`; a file shown twice keeps its URL."""
        if type not in IMAGES:
            raise ValueError(f"{type} is none of {', '.join(sorted(IMAGES))}")
        url = self._shown.get(path)
        if url is None:
            url = self._shown[path] = self._add(Ticket(self, self._own(path), type=type))
        return url

    def offer(self, path: Path, name: str) -> str:
        """See `PageHost.offer`."""
        return self._add(Ticket(self, self._own(path), name=name))

    def expect(self, name: str, size: int) -> ExpectedUpload:
        """See `PageHost.expect`."""
        if size < 0:
            raise ValueError(f"{size} is no size")
        expected = [ticket for ticket in map(self.tickets.get, self._urls) if ticket is not None]
        sizes = [ticket.size for ticket in expected if ticket.size >= 0]
        if len(sizes) >= MAX_EXPECTED_UPLOADS:
            raise TooManyFiles
        if sum(sizes) + size > MAX_EXPECTED_BYTES:
            raise NoRoom
        # Announced uploads occupy no disk yet, but will.
        free = disk.free(self.folder) - self.tickets.promised
        if free - size < disk.reserve(self.folder):
            raise NoRoom
        try:
            name = clean_file_name(name)
        except BadValue:
            name = "file"
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        path = folder / name
        until = time.monotonic() + LIFETIME_SECONDS
        return ExpectedUpload(self._add(Ticket(self, path, size=size, until=until)), path)

    def withdraw(self, url: str) -> None:
        """See `PageHost.withdraw`."""
        if url not in self._urls:
            return
        ticket = self.tickets.get(url)
        self._urls.discard(url)
        self.tickets.remove(url)
        if ticket is None:
            return
        self._shown.pop(ticket.path, None)
        if ticket.size >= 0:
            shutil.rmtree(ticket.path.parent, ignore_errors=True)

    def close(self) -> None:
        """End all tickets and remove the folder."""
        for url in self._urls:
            self.tickets.remove(url)
        self._urls.clear()
        self._shown.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _add(self, ticket: Ticket) -> str:
        if len(self._urls) >= MAX_TICKETS:
            raise TooManyFiles
        url = self.tickets.add(ticket)
        self._urls.add(url)
        return url

    def _own(self, path: Path) -> Path:
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{path} is not in the session's folder")
        return path


async def _drain(request: Request) -> None:
    """Read on for a while; otherwise the sender sees a broken connection instead of the reason."""
    had = 0
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in request.stream():
                had += len(part)
                if had > MAX_DRAINED_BYTES:
                    return


def _give(ticket: Ticket) -> Response:
    if not ticket.path.is_file():
        raise HTTPException(404)
    headers = {"Content-Security-Policy": "sandbox; default-src 'none'"}
    if ticket.type:
        headers["Cache-Control"] = "private, max-age=86400, immutable"
        return FileResponse(ticket.path, media_type=ticket.type, headers=headers)
    headers["Cache-Control"] = "no-store"
    return FileResponse(
        ticket.path, media_type="application/octet-stream", headers=headers, filename=ticket.name
    )


async def _take(request: Request, ticket: Ticket) -> Response:
    """Write an upload; the file gets its name only when it is complete."""
    if ticket.until is None or time.monotonic() > ticket.until:
        raise HTTPException(410, "This address was used, or is over 10 minutes old.")
    if (length := request.headers.get("content-length")) and length != str(ticket.size):
        raise HTTPException(400, f"Exactly {ticket.size} bytes are expected.")
    ticket.until = None
    async with ticket.session.turn:
        part = ticket.path.with_name(secrets.token_hex(8))
        try:
            async with asyncio.timeout(60 + ticket.size / MIN_BYTES_A_SECOND):
                await _write(request, part, ticket.size)
            await asyncio.to_thread(os.replace, part, ticket.path)
        except TimeoutError:
            raise HTTPException(408, "Too slow.") from None
        except ClientDisconnect:
            raise HTTPException(400, "The file did not come whole.") from None
        except OSError as error:
            raise HTTPException(507, "There is no room for the file.") from error
        finally:
            part.unlink(missing_ok=True)
    return Response(status_code=204)


async def _write(request: Request, path: Path, size: int) -> None:
    had, waiting = 0, bytearray()
    parts = request.stream()
    with await asyncio.to_thread(open, path, "xb") as file:
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                part = await anext(parts, None)
            if part is not None:
                had += len(part)
                waiting += part
            if had > size or (part is None and had != size):
                raise HTTPException(400, f"Exactly {size} bytes are expected.")
            if part is None or len(waiting) >= PIECE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
            if part is None:
                return
