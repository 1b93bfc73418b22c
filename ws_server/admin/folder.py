"""An operator's folder: read without leaving it, and passed to the server file by file."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from shared.faults import shown
from ws_server.admin.commands import AdminRefused, HandedFile, Parts

MAX_SIZE = 1 << 30
"""Maximum size of one file in bytes; a file is in memory as a whole."""
_STEP = 1 << 18


def read(folder: Path, below: Sequence[str], kind: str) -> Iterator[HandedFile]:
    """Yield the `.json` files of some subfolders, in the order of their names.

    Below `folder`, symbolic links are not followed and only regular files are read. An unreadable
    file becomes a part with a fault.

    Args:
        below: The subfolders, in the order wanted; missing ones are skipped.
        kind: The expected content of the folder, for the refusal.

    Raises:
        AdminRefused: the folder is unreadable, or has none of these subfolders.
    """
    try:
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise AdminRefused(
            f"{shown(folder)}: {error.strerror}. Name the folder of {kind}"
        ) from error
    found = [name for name in below if _is_folder(top, name)]
    if not found:
        os.close(top)
        names = ", ".join(below)
        raise AdminRefused(
            f"{shown(folder)} holds nothing of {kind}: none of the folders {names} is in it. Name "
            "the folder that they are in"
        )
    return _parts(top, [name for name in below if name in found or _exists(top, name)])


def _is_folder(top: int, name: str) -> bool:
    return _exists(top, name) and stat.S_ISDIR(
        os.stat(name, dir_fd=top, follow_symlinks=False).st_mode
    )


def _exists(top: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=top, follow_symlinks=False)
    except OSError:
        return False
    return True


def _parts(top: int, below: Sequence[str]) -> Iterator[HandedFile]:
    try:
        for name in below:
            try:
                inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            except OSError as error:
                yield HandedFile(name, fault=_why(error))
                continue
            try:
                for file in sorted(os.listdir(inside)):
                    yield _part(inside, name, file)
            except OSError as error:
                yield HandedFile(name, fault=_why(error))
            finally:
                os.close(inside)
    finally:
        os.close(top)


def _part(inside: int, below: str, file: str) -> HandedFile:
    name = f"{below}/{file}"
    label = shown(name)
    try:
        name.encode()
    except UnicodeEncodeError:
        return HandedFile(label, fault="its name is not UTF-8; rename it")
    if not file.endswith(".json"):
        return HandedFile(label, fault="its name does not end in .json")
    # Opening a FIFO would block until a writer opens it.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with open(os.open(file, flags, dir_fd=inside), "rb", buffering=0) as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode):
                return HandedFile(label, fault="is not a regular file")
            if about.st_size > MAX_SIZE:
                return HandedFile(label, fault=f"has more than {MAX_SIZE:,} bytes")
            return HandedFile(name, opened.read(about.st_size))
    except OSError as error:
        return HandedFile(label, fault=_why(error))


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "is a symbolic link, which is not followed; replace it by its target"
    return error.strerror or "cannot be read"


async def local(parts: Iterator[HandedFile]) -> Parts:
    """Yield the files, reading each in a thread."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part


async def send(parts: Iterator[HandedFile], writer: asyncio.StreamWriter) -> None:
    """Write each part as a line `{"part", "size", "fault"}` and its content, then an empty line."""
    try:
        async for part in local(parts):
            head = {"part": part.name, "size": len(part.content), "fault": part.fault}
            writer.write(orjson.dumps(head) + b"\n")
            writer.write(part.content)
            await writer.drain()
        writer.write(b"\n")
    except OSError:
        pass  # the server has ended; the reader of its answer reports that
    except Exception:
        writer.close()  # otherwise the server would wait for more
        raise


async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Parts:
    """Yield the files that the operator's process sends.

    The output must drain between two files, so that it cannot accumulate.

    Raises:
        ConnectionError: the operator's process ended before the last file.
    """
    while (line := await reader.readline()) != b"\n":
        if not line.endswith(b"\n"):
            raise ConnectionError("the operator's process has gone")
        head = orjson.loads(line)
        content = bytearray(head["size"])
        view, at = memoryview(content), 0
        while at < len(content):
            piece = await reader.read(min(_STEP, len(content) - at))
            if not piece:
                raise ConnectionError("the operator's process has gone")
            view[at : at + len(piece)] = piece
            at += len(piece)
        view.release()
        yield HandedFile(head["part"], content, head["fault"])
        del content
        await writer.drain()
