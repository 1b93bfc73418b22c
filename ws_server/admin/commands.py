"""The table of admin commands: each is declared once, and parsing and help follow from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ws_server.realm import Realm
from ws_server.settings import Settings

Given = Mapping[str, str]
"""The arguments by name, without dashes: `real_name`; flags that were given are "yes"."""
Say = Callable[[str], None]
"""Prints one line for the operator."""
InRealm = Callable[[Realm, Given, Say], Awaitable[None]]
Beside = Callable[[Settings, Given, Say], Awaitable[None]]


class AdminRefused(Exception):
    """The command cannot be done, and nothing was; the text tells the operator what to do."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `name` by its place, `--name` by its name, with a value unless it is a flag."""

    name: str
    help: str
    required: bool = True
    flag: bool = False

    @property
    def key(self) -> str:
        """Its name in `Given`."""
        return self.name.lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table; exactly one of `in_realm` and `beside` is set."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]
    secret: str
    begins: bool = False
    in_realm: InRealm | None = None
    beside: Beside | None = None


TABLE: dict[str, Command] = {}
"""Every command by its name, such as `user add`."""


def in_realm(
    name: str, *arguments: Argument, secret: str = "", begins: bool = False
) -> Callable[[InRealm], InRealm]:
    """Declare a command that changes the realm.

    It runs inside the server where one is running, so that there is one writer and no stale copy;
    otherwise on the realm, opened for it without a port.

    Args:
        secret: An argument read from standard input instead, such as `password`.
        begins: It makes a new realm where the folder holds none.
    """

    def declare(run: InRealm) -> InRealm:
        _add(name, run, arguments, secret, begins=begins, in_realm=run)
        return run

    return declare


def beside(name: str, *arguments: Argument) -> Callable[[Beside], Beside]:
    """Declare a command that runs in the operator's own process, whether or not a server runs.

    So the files it reads and writes are those the operator may.
    """

    def declare(run: Beside) -> Beside:
        _add(name, run, arguments, "", beside=run)
        return run

    return declare


def _add(name: str, run: object, arguments: tuple[Argument, ...], secret: str, **kind: Any) -> None:
    summary = (run.__doc__ or "").strip().partition("\n")[0]
    assert summary, f"{name}: a docstring is missing"
    assert name not in TABLE, f"{name} is declared twice"
    TABLE[name] = Command(name, summary, arguments, secret, **kind)
