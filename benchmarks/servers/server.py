"""The interface of a server of the comparison, towards the workloads."""

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
"""Seconds until a server must have opened its port."""
JOINS_AT_ONCE = 20
ROOT = Path(__file__).resolve().parents[2]
DISK = "/var/tmp"
"""The parent of data folders; /tmp may be in memory, where a sync costs nothing."""


class Client(ABC):
    """One signed-in user. Workloads set `on_message`, which is called with each pushed text."""

    def __init__(self, user: int, connection: Connection) -> None:
        self.user = user
        self.connection = connection
        self.on_message: Callable[[bytes], object] = lambda text: None
        self.token = ""
        """The token to resume with, if the server supports that."""
        self.missed = 0
        """The number of messages received by `sync` after it resumed."""
        connection.on_text = self.on_text

    @abstractmethod
    def on_text(self, payload: bytes) -> None:
        """Handle a frame; call `on_message` if it is a pushed text."""

    @abstractmethod
    def send(self, to: int, text: str) -> None:
        """Queue a private message in the socket."""

    @abstractmethod
    def send_group(self, text: str) -> None:
        """Queue a message for the only group in the socket."""


class Server(ABC):
    """A server with a data folder and a port, run as a foreground child."""

    name: ClassVar[str]
    stores: ClassVar[str]
    """The state of a message in the store when it is pushed; for the table."""
    synced: ClassVar[bool]
    """Whether a message is synced to disk when it is pushed."""
    copies: ClassVar[int] = 0
    """The number of stored copies of a private message, in all archives; 0 without an archive. A
    group message has one copy."""
    echoes_groups: ClassVar[bool] = True
    """Whether the sender of a group message gets a push, too."""
    keeps_places: ClassVar[bool] = False
    """Whether clients resume by a token and their positions, and get missed messages."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Debian packages that it needs."""
    shown: ClassVar[tuple[str, ...]] = ()
    """Debian packages whose versions to show."""

    def __init__(self, cores: Cores) -> None:
        self.cores = cores
        self.folder = Path(tempfile.mkdtemp(prefix="chat-bench-", dir=DISK))
        self.port = free_port()
        self.children: list[Child] = []

    @classmethod
    def missing(cls) -> str:
        """Return how to make it run here; empty if it can."""
        absent = [package for package in cls.packages if not debian_version(package)]
        return f"apt-get install {' '.join(absent)}" if absent else ""

    @classmethod
    def version(cls) -> str:
        return ", ".join(f"{package} {debian_version(package)}" for package in cls.shown)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that runs it in the foreground, listening on 127.0.0.1 and `port`."""

    def environment(self) -> Mapping[str, str]:
        return {}

    async def prepare(self) -> None:  # noqa: B027
        """Write the configuration, and start what the server depends on; by default nothing."""

    @abstractmethod
    async def register(self, count: int) -> None:
        """Register the accounts 0..count-1."""

    @abstractmethod
    async def sign_in(self, user: int) -> Client:
        """Connect and authenticate."""

    @abstractmethod
    async def open_group(self, clients: Sequence[Client]) -> None:
        """Create the only group with all clients as members, which then get its messages."""

    async def come_back(self, user: int, token: str, have: Mapping[int, int]) -> Client:
        """Connect, resume, and sync from the last message known of each person's chat."""
        raise NotImplementedError(f"nobody comes back to {self.name}")

    async def read(self, client: Client, upto: Mapping[int, int]) -> None:
        """Mark chats read up to a message of each."""
        raise NotImplementedError(f"{self.name} keeps no markers")

    async def stored(self) -> Iterable[str]:
        """Return every text in the store, once for each copy."""
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
        """Start a child on the server's core, and return once it listens."""
        # A signal between start and registration would leave the child running.
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
        """End it and remove its data; a signal is deferred until then."""
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
