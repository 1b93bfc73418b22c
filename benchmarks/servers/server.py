"""What every server under measurement is to the workloads."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.processes import Child, Cores
from benchmarks.stopping import STOP
from benchmarks.waiting import until
from benchmarks.websocket import Connection

START_LIMIT = 60.0
"""Seconds a server may take until its port is open."""
JOINS_AT_ONCE = 20
ROOT = Path(__file__).resolve().parents[2]
DISK = "/var/tmp"
"""Data folders lie here: /tmp may be memory, where syncing costs nothing."""


class Client(ABC):
    """One signed-in user. Whoever measures sets `on_message`, called with each pushed text."""

    def __init__(self, user: int, connection: Connection) -> None:
        self.user = user
        self.connection = connection
        self.on_message: Callable[[bytes], object] = lambda text: None
        self.token = ""
        """What it can come back with, if the server has that."""
        self.missed = 0
        """Messages that it was told of when it came back."""
        connection.on_text = self.on_text

    @abstractmethod
    def on_text(self, payload: bytes) -> None:
        """Take a frame; call `on_message` if it is a pushed text."""

    @abstractmethod
    def send(self, to: int, text: str) -> None:
        """Hand a private message to the socket."""

    @abstractmethod
    def send_group(self, text: str) -> None:
        """Hand a message for the one group to the socket."""


class Server(ABC):
    """A server with a data folder and a port of its own, run as a foreground child."""

    name: ClassVar[str]
    stores: ClassVar[str]
    """What is kept of a message when it is pushed, and how; for the table."""
    synced: ClassVar[bool]
    """Whether it is on disk, synced, when it is pushed."""
    copies: ClassVar[int] = 0
    """How often a private message is kept, in all archives together; 0 if nothing is. A group's is
    kept once by whoever keeps something."""
    echoes_groups: ClassVar[bool] = True
    """Whether the sender of a group message is pushed it too."""
    keeps_places: ClassVar[bool] = False
    """Whether people come back by a token and where they were, and get what they missed."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Debian packages it needs."""
    shown: ClassVar[tuple[str, ...]] = ()
    """Debian packages whose versions tell what was measured."""

    def __init__(self, cores: Cores) -> None:
        self.cores = cores
        self.folder = Path(tempfile.mkdtemp(prefix="chat-bench-", dir=DISK))
        self.port = free_port()
        self.children: list[Child] = []

    @classmethod
    def missing(cls) -> str:
        """Return what to do before it can run here; empty if it can."""
        absent = [package for package in cls.packages if not debian_version(package)]
        return f"apt-get install {' '.join(absent)}" if absent else ""

    @classmethod
    def version(cls) -> str:
        return ", ".join(f"{package} {debian_version(package)}" for package in cls.shown)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what starts it in the foreground, listening on 127.0.0.1 and `port`."""

    def environment(self) -> Mapping[str, str]:
        return {}

    async def prepare(self) -> None:  # noqa: B027
        """Write the configuration, and start what the server itself needs; here nothing."""

    @abstractmethod
    async def register(self, count: int) -> None:
        """Make the accounts 0..count-1."""

    @abstractmethod
    async def sign_in(self, user: int) -> Client:
        """Connect and authenticate."""

    @abstractmethod
    async def open_group(self, clients: Sequence[Client]) -> None:
        """Make the one group, with all of these in it and certain to be pushed its messages."""

    async def come_back(self, user: int, token: str, have: Mapping[int, int]) -> Client:
        """Connect, resume, and sync from the last message one has of each person's chat."""
        raise NotImplementedError(f"nobody comes back to {self.name}")

    async def read(self, client: Client, upto: Mapping[int, int]) -> None:
        """Mark chats read up to a message of each."""
        raise NotImplementedError(f"{self.name} keeps no markers")

    async def stored(self) -> Iterable[str]:
        """Return every text in the store, as often as it is there."""
        raise NotImplementedError(f"{self.name} stores nothing")

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self.children]

    async def start(self) -> None:
        await self.prepare()
        await self.spawn(self.command(), self.environment(), self.port)

    async def spawn(
        self, command: Sequence[str], environment: Mapping[str, str], port: int
    ) -> None:
        """Start a child on the server's core and return when it listens."""
        # Between starting it and knowing of it, nothing may come.
        with STOP.held():
            child = Child(
                command, folder=self.folder, core=self.cores.server, environment=environment
            )
            self.children.append(child)
        await until(lambda: listens(port) or not child.runs, START_LIMIT)
        if not listens(port):
            raise RuntimeError(f"{self.name} did not open its port: {child.last_words}")

    def end(self) -> None:
        """End the children, the latest first."""
        while self.children:
            self.children.pop().end()

    async def restart(self) -> None:
        self.end()
        await self.start()

    def discard(self) -> None:
        """End it and remove its data; a signal to stop us waits until that is done."""
        with STOP.held():
            self.end()
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def debian_version(package: str) -> str:
    """Return the version of an installed Debian package; empty if it is not installed."""
    try:
        asked = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        return ""
    status, _, version = asked.stdout.partition(" ")
    return version if status == "installed" else ""
