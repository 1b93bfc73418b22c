"""The web app: a separate process that starts when the first browser connects.

As inetd does, the server holds the listening sockets and passes them to the app at the first
connection. The app uses no memory before, its port survives a crash, and the realm's event loop
never waits for it. The app connects to the realm by a Unix socket in the data folder. The server
holds the app's standard input: at its end, the app releases the port and exits once no page is
open.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import logging
import os
import shutil
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

import ws_server
from shared.hosts import HostNames
from shared.settings import hosts, split
from shared.sockets import listen
from ws_server.settings import Settings

log = logging.getLogger(__name__)

FILE = "web.sock"
"""The app's socket to the realm, in the data folder."""
FOLDER = "web"
"""The folder in the data folder for files between browsers and the realm; emptied at start."""
SOURCES = Path(ws_server.__file__).parent.parent
PASSED_VARIABLES = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH")
PASSED_PREFIXES = ("LC_", "PYTHON", "CHAT_APP_MAX_")
"""Environment variables passed to the app; they exclude the server's secrets."""
STOP_LIMIT = 2.0
"""Seconds for the app to end after all connections of the realm are closed; then it is killed."""
YOUNG = 60.0
"""Seconds; if the app ends sooner, its next start is delayed."""
LONGEST_PAUSE = 60.0


class WebApp:
    """Holds the app's port, and runs the app on demand."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = ""
        self._sockets: list[socket.socket] = []
        self._process: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    def open(self, server: str) -> int:
        """Listen and return the port: the one set or, if that is in use, the next free one.

        Args:
            server: The realm's public address.

        Raises:
            OSError: no port is free, or the data folder is not writable.
        """
        assert self._settings.web_port is not None
        self._server = server
        folder = self._settings.data / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        empty(folder)
        self._sockets = listen(hosts(self._settings.host), self._settings.web_port)
        self._running = asyncio.create_task(self._run())
        return int(self._sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Ask the app to end; `close` waits for that."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def close(self) -> None:
        """End the app and release the port."""
        self.stop()
        process = self._process
        if process is not None:
            try:
                await asyncio.wait_for(process.wait(), STOP_LIMIT)
            except TimeoutError:
                with suppress(ProcessLookupError):  # it has just ended
                    process.kill()
                await process.wait()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        for listening in self._sockets:
            listening.close()
        if self._sockets:
            folder = self._settings.data / FOLDER
            empty(folder)
            with suppress(OSError):  # an app still uses it
                folder.rmdir()

    async def _run(self) -> None:
        """Start the app when a browser connects, and again after it has ended."""
        pause = 0.0
        while not self._stopping:
            await self._somebody()
            began = time.monotonic()
            try:
                self._process = await self._start()
                code = await self._process.wait()
            except OSError as error:
                log.error("the web app does not start: %s", error)
            else:
                if self._stopping:
                    return
                log.error("the web app ended; the next browser starts it", extra={"code": code})
            young = time.monotonic() - began < YOUNG
            pause = min(2 * pause or 1.0, LONGEST_PAUSE) if young else 0.0
            await asyncio.sleep(pause)

    async def _somebody(self) -> None:
        """Wait until a browser connects; the connection stays in the socket's backlog meanwhile."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        for listening in self._sockets:
            loop.add_reader(listening, came.set)
        try:
            await came.wait()
        finally:
            for listening in self._sockets:
                loop.remove_reader(listening)

    async def _start(self) -> Process:
        numbers = [listening.fileno() for listening in self._sockets]
        data = self._settings.data.resolve()
        host, origins = self._settings.host, split(self._settings.origins)
        names = HostNames([*split(self._settings.hosts), host], origins)
        options = {
            "--server": self._server,
            "--socket": data / FILE,
            "--sockets": ",".join(map(str, numbers)),
            "--trusted-proxies": self._settings.trusted_proxies,
            "--hosts": ",".join(names),
        }
        if self._settings.tls_cert is not None and self._settings.tls_key is not None:
            options["--tls-cert"] = self._settings.tls_cert.resolve()
            options["--tls-key"] = self._settings.tls_key.resolve()
        log.info("the web app starts")
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "flet_app", "--web"),
            *(str(word) for option in options.items() for word in option),
            stdin=PIPE,
            pass_fds=numbers,
            env=environment(data / FOLDER),
            cwd=data / FOLDER,
            # Ctrl+C reaches the server only, which then ends the app.
            start_new_session=True,
        )


def empty(folder: Path) -> None:
    """Remove unused folders; one in use belongs to an app that outlived a killed server."""
    for left in folder.iterdir():
        try:
            held = os.open(left, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            log.info("an app of an earlier server still has pages open")
        finally:
            os.close(held)


def is_installed() -> bool:
    """Return whether the packages of the web app are installed."""
    return all(importlib.util.find_spec(name) for name in ("flet_web", "flet_app"))


def environment(folder: Path) -> dict[str, str]:
    """Return the app's environment; its temporary files go to `folder`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_VARIABLES or name.startswith(PASSED_PREFIXES)
    }
    path = [str(SOURCES), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, path)), "TMPDIR": str(folder)}
