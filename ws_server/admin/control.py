"""The running server's admin socket: it carries `admin` commands to the only writing process.

It is a Unix socket in the data folder that only the server's own account and root may open. A
connection carries one request, one JSON object in a line: `{"command": NAME, "given": {...}}`. The
answer is `{"say": LINE}` for each line, and `{"done": true}` or `{"refused": WHY}` at the end. The
files of a folder follow the request as `folder.send` writes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from shared import sockets
from shared.faults import shown
from shared.protocol.errors import ChatError
from ws_server.admin import folder
from ws_server.admin.commands import TABLE, AdminRefused, Given, HandedFile, Parts, Say
from ws_server.audit import Act, Result
from ws_server.realm import Realm
from ws_server.store.database import current_requester

log = logging.getLogger(__name__)

FILE = "admin.sock"
MAX_REQUEST = 64 * 1024
"""Maximum size of a request in bytes."""
MAX_LINE = 1 << 20
READ_TIMEOUT = 10.0
"""Seconds for a request to arrive."""


class NoServer(Exception):
    """No server listens on the socket."""


class ControlSocket:
    """The server's end of the socket; `close` ends it and removes the file."""

    def __init__(self, realm: Realm, data: Path) -> None:
        self._realm = realm
        self._path = data / FILE
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen; the caller holds the folder's lock, so an existing socket is stale.

        Raises:
            OSError: the folder does not allow a socket.
        """
        listening = sockets.bind_unix(self._path)
        try:
            self._server = await asyncio.start_unix_server(
                self._accept, sock=listening, limit=MAX_REQUEST
            )
        except OSError:
            listening.close()
            raise

    async def close(self) -> None:
        """Accept no more; cancel the commands under way, which then have no effect."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):  # a TimeoutError is an OSError
            pass  # the operator's process has ended, or the server stops
        finally:
            self._running.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(**line: Any) -> None:
            # The operator's process may have ended; the command continues nevertheless.
            if not writer.transport.is_closing():
                writer.write(orjson.dumps(line) + b"\n")

        def say(line: str) -> None:
            tell(say=line)

        try:
            async with asyncio.timeout(READ_TIMEOUT):
                request = orjson.loads(await reader.readline())
            name, given = str(request["command"]), dict(request["given"])
        except (ValueError, KeyError, TypeError, TimeoutError):
            return
        try:
            await run(self._realm, name, given, say, folder.receive(reader, writer))
            self._note(name, given, Result.DONE)
            tell(done=True)
        except AdminRefused as refusal:
            self._note(name, given, Result.REFUSED)
            tell(refused=str(refusal))
        except ConnectionError:
            log.info("admin command given up", extra={"command": name})
            raise
        except Exception:
            log.exception("admin command failed", extra={"command": name})
            self._note(name, given, Result.FAILED)
            tell(refused="The server failed; its log says why")
        await writer.drain()
        # Read the rest of the folder, or the refusal might not arrive.
        async with asyncio.timeout(READ_TIMEOUT):
            while await reader.read(MAX_REQUEST):
                pass

    def _note(self, name: str, given: Given, outcome: Result) -> None:
        about = [str(given[key]) for key in ("name", "mode", "id") if key in given]
        self._realm.audit.note(Act.ADMIN, outcome, detail=" ".join([name, *about]))


async def run(realm: Realm, name: str, given: Given, say: Say, parts: Parts) -> None:
    """Run a command that changes the realm.

    Args:
        parts: The files of the folder, for a command that reads one.

    Raises:
        AdminRefused: the command failed.
    """
    command = TABLE.get(name)
    if command is None or command.beside is not None:
        raise AdminRefused(f"The server does not know {name}; it may be of another version")
    current_requester.set("admin")
    try:
        if command.in_realm is not None:
            await command.in_realm(realm, given, say)
        elif command.from_folder is not None:
            await command.from_folder(realm, given, say, parts)
    except ChatError as refusal:
        raise AdminRefused(refusal.message) from refusal


async def call(
    data: Path, name: str, given: Given, say: Say, parts: Iterator[HandedFile] | None = None
) -> None:
    """Send a command to the running server, and print its answer.

    Args:
        parts: The files of a folder to send; none is read if no server answers.

    Raises:
        NoAnswer: no server runs on this folder.
        AdminRefused: the command failed, the socket may not be opened, or the server ended.
    """
    try:
        with sockets.short(data / FILE) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NoServer from error
    except OSError as error:
        raise AdminRefused(
            f"{shown(data / FILE)}: {error.strerror}. Run this as the account the server runs as"
        ) from error
    sending: asyncio.Task[None] | None = None
    try:
        writer.write(orjson.dumps({"command": name, "given": given}) + b"\n")
        if parts is not None:
            sending = asyncio.create_task(folder.send(parts, writer))
        while line := await reader.readline():
            answer = orjson.loads(line)
            if "done" in answer:
                return
            if "refused" in answer:
                raise AdminRefused(answer["refused"])
            say(answer["say"])
    except OSError:
        pass
    finally:
        if sending is not None:
            sending.cancel()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    raise AdminRefused("The server ended before it answered. Check whether the change was made")
