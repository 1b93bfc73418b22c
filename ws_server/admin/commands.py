"""The table of admin commands: one declaration each, from which parsing and help derive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ws_server.realm import Realm
from ws_server.settings import Settings

Given = Mapping[str, str]
"""The arguments by name, without dashes: `real_name`; a flag that is set is "yes"."""
Say = Callable[[str], None]
"""Prints one line for the operator."""
InRealm = Callable[[Realm, Given, Say], Awaitable[None]]
FromFolder = Callable[[Realm, Given, Say, "Parts"], Awaitable[None]]
Beside = Callable[[Settings, Given, Say], Awaitable[None]]


class AdminRefused(Exception):
    """The command failed without any effect; the text names the remedy for the operator."""


@dataclass(frozen=True, slots=True)
class HandedFile:
    """One file of a folder that the operator passes: its content, or why it is unreadable."""

    name: str
    """Its path below the folder; printable if there is a fault."""
    content: bytes | bytearray = b""
    fault: str = ""


Parts = AsyncIterator[HandedFile]
"""The files of a folder, one at a time, so that only one is in memory."""
Read = Callable[[Given], Iterator[HandedFile]]
"""Reads the folder in the operator's process; raises AdminRefused for an unsuitable folder."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: positional `name`, or option `--name`, with a value unless it is a flag."""

    name: str
    help: str
    required: bool = True
    flag: bool = False

    @property
    def key(self) -> str:
        """Its key in `Given`."""
        return self.name.lstrip("-").replace("-", "_")

    @property
    def usage(self) -> str:
        """Its form in a usage line."""
        if not self.name.startswith("-"):
            return self.key.upper() if self.required else f"[{self.key.upper()}]"
        word = self.name if self.flag else f"{self.name} {self.key.upper()}"
        return f"[{word}]" if self.flag or not self.required else word


CREATE = Argument("--create", "create a new realm if the folder holds none", flag=True)
"""An option of commands that may create a realm; without it, a mistyped path would create one."""


@dataclass(frozen=True, slots=True)
class AdminCommand:
    """One row of the table; exactly one of `in_realm`, `from_folder` and `beside` is set."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]
    secret: str
    begins: bool = False
    running: bool = False
    in_realm: InRealm | None = None
    read: Read | None = None
    from_folder: FromFolder | None = None
    beside: Beside | None = None

    @property
    def usage(self) -> str:
        """The usage line."""
        return " ".join([self.name, *(argument.usage for argument in self.arguments)])


TABLE: dict[str, AdminCommand] = {}
"""Every command by its name, such as `user add`."""


def in_realm(
    name: str,
    *arguments: Argument,
    secret: str = "",
    begins: bool = False,
    running: bool = False,
) -> Callable[[InRealm], InRealm]:
    """Declare a command that changes the realm.

    It runs inside a running server, so that there is one writer and no stale cache. Otherwise it
    runs on the realm, opened without a port.

    Args:
        secret: An argument read from standard input instead, such as `password`.
        begins: With `CREATE`, it creates a new realm if the folder holds none.
        running: It concerns a running server, and is refused without one.
    """

    def declare(run: InRealm) -> InRealm:
        _add(name, run, arguments, secret, begins=begins, running=running, in_realm=run)
        return run

    return declare


def from_folder(
    name: str, read: Read, *arguments: Argument, begins: bool = False
) -> Callable[[FromFolder], FromFolder]:
    """Declare a command that changes the realm from the files of an operator's folder.

    It runs where those of `in_realm` do. The operator's process reads the folder and passes it on
    file by file, because the server's account may lack the permission.
    """

    def declare(run: FromFolder) -> FromFolder:
        _add(name, run, arguments, "", begins=begins, read=read, from_folder=run)
        return run

    return declare


def beside(name: str, *arguments: Argument) -> Callable[[Beside], Beside]:
    """Declare a command that runs in the operator's own process, whether or not a server runs.

    Its file access is therefore that of the operator's account.
    """

    def declare(run: Beside) -> Beside:
        _add(name, run, arguments, "", beside=run)
        return run

    return declare


def _add(name: str, run: object, arguments: tuple[Argument, ...], secret: str, **kind: Any) -> None:
    summary = (run.__doc__ or "").strip().partition("\n")[0]
    assert summary, f"{name}: a docstring is missing"
    assert name not in TABLE, f"{name} is declared twice"
    if kind.get("begins"):
        arguments += (CREATE,)
    TABLE[name] = AdminCommand(name, summary, arguments, secret, **kind)
