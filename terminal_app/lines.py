"""Lines of standard input (a pipe, a file or a terminal), read in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from codecs import BOM_UTF8
from collections.abc import AsyncIterator

from shared.client import ChatError, ErrorCode
from shared.protocol.values import MAX_FRAME
from shared.text_files import is_utf_16
from terminal_app.commands import TypedCommand

READ_BYTES = 64 * 1024
"""Bytes read at a time."""
MAX_WAITING = 64
"""Pieces and commands that may wait for earlier ones."""


async def typed_lines(source: int = 0) -> AsyncIterator[str | TypedCommand]:
    """Yield the nonempty lines of a file descriptor; an invalid line yields its refusal.

    A line has at most MAX_FRAME bytes of UTF-8.
    """
    rest, skipping, begun = b"", False, False
    async for piece in _pieces(source):
        *lines, rest = (rest + piece).split(b"\n")
        if not begun and (lines or len(rest) > 2):
            begun = True
            if is_utf_16(lines[0] if lines else rest):
                yield _refused(ErrorCode.BAD_COMMAND, UTF_16)
                return
            if lines:
                lines[0] = lines[0].removeprefix(BOM_UTF8)
            else:
                rest = rest.removeprefix(BOM_UTF8)
        for line in lines:
            if skipping or len(line) > MAX_FRAME:
                skipping = False
                yield _refused(ErrorCode.TOO_LARGE, f"A line has at most {MAX_FRAME:,} bytes")
            elif line.strip():
                yield _read(line)
        if len(rest) > MAX_FRAME:
            rest, skipping = b"", True
    if skipping:
        yield _refused(ErrorCode.TOO_LARGE, f"A line has at most {MAX_FRAME:,} bytes")
    elif rest.strip():
        yield _read(rest)


UTF_16 = (
    "These lines are UTF-16, as Windows writes it; send UTF-8. In PowerShell: "
    "$OutputEncoding = [Text.Encoding]::UTF8"
)


def _read(line: bytes) -> str | TypedCommand:
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError:
        return _refused(ErrorCode.BAD_COMMAND, "This line is not UTF-8")


def _refused(code: ErrorCode, why: str) -> TypedCommand:
    return TypedCommand(ChatError(code, why))


async def _pieces(source: int) -> AsyncIterator[bytes]:
    """Yield the input in pieces, until its end."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(MAX_WAITING)

    def take() -> None:
        piece = b"-"
        while piece:
            room.acquire()
            try:
                piece = os.read(source, READ_BYTES)
            except OSError:
                piece = b""
            with contextlib.suppress(RuntimeError):  # the event loop has been closed meanwhile
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

    # The event loop's pipes do not support ordinary files. The lock of sys.stdin would be held at
    # the end of the process by a thread that waits for a line.
    threading.Thread(target=take, daemon=True).start()
    while piece := await pieces.get():
        room.release()
        yield piece
