"""What differs between a browser and a desktop window: where files are, and who looks."""

from __future__ import annotations

import os
import zoneinfo
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Protocol

from flet_app.script import PageScript
from shared.client import ChatClient

RESERVE = 256 << 20
"""Bytes of the disk that files of browsers and pages leave free."""
LANGUAGES = ("en", "id")
"""What the app is written in; the first is for everybody else."""


class NoRoom(Exception):
    """The disk is too full for the file, or this session holds too much already."""


class TooManyFiles(Exception):
    """This session has as many links as it may; withdraw some."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that a browser is about to send.

    Args:
        url: Where a browser is to PUT the content, once, within 10 minutes.
        path: Where the content is after that; nothing is there before it has come whole.
    """

    url: str
    path: Path


class Host(Protocol):
    """Where one session of the app runs. `start` is given it, and closes it with its page."""

    server: str
    """`ws://` or `wss://` address of the realm the app begins with."""
    may_change_server: bool
    """Whether the person may name another one: on the desktop it is a setting of his."""
    opens_paths: bool
    """Whether a path that the window names is one of the person's own files. What a browser says
    of paths, or of being a window, is never believed."""
    zone: tzinfo
    """Time zone of the person who looks."""
    language: str
    """One of LANGUAGES: the best that the person's system or browser asks for."""
    page_script: PageScript | None
    """The page's own script, which then handles what is written; None in a window."""
    folder: Path
    """For files of this session alone, with mode 0700; removed when it ends."""

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        """Return a client, not yet entered, that speaks for the person who looks.

        Args:
            token: Of an earlier session, or empty.
            options: Any other that `ChatClient` takes.

        Raises:
            ValueError: `server` is no address of a realm.
        """
        ...

    def show(self, path: Path, type: str) -> str:
        """Return the `src` with which an `ft.Image` shows a file in `folder`.

        Args:
            type: One of IMAGES.

        Raises:
            ValueError: another type, or the file is not in `folder`.
            TooManyFiles: as it says.
        """
        ...

    def offer(self, path: Path, name: str) -> str:
        """Return the URL at which the browser saves a file in `folder`; not on the desktop.

        Args:
            name: What the browser calls it.

        Raises:
            ValueError: the file is not in `folder`.
            TooManyFiles: as it says.
            NotImplementedError: on the desktop, where a dialog asks where to put it.
        """
        ...

    def expect(self, name: str, size: int) -> Expected:
        """Return where one file of the person's may be put: by the browser, or what was pasted.

        Args:
            name: What the person calls it; the file in `folder` gets it, cleaned.
            size: Its bytes; another number of them is refused.

        Raises:
            ValueError: `size` is negative.
            NoRoom, TooManyFiles: as they say.
        """
        ...

    def withdraw(self, url: str) -> None:
        """End what `show`, `offer` or `expect` returned; what the browser has put is removed."""
        ...

    def close(self) -> None:
        """Remove the folder and end all links; it may be called again."""
        ...


def language_of(wishes: list[str]) -> str:
    """Return the first of LANGUAGES among the wished tags, such as `id-ID` or `en_GB.UTF-8`."""
    for wish in wishes:
        tag = wish.replace("_", "-").partition("-")[0].partition(".")[0].lower()
        tag = {"in": "id"}.get(tag, tag)  # what Indonesian was called until 1989
        if tag in LANGUAGES:
            return tag
    return LANGUAGES[0]


def local_zone() -> tzinfo:
    """Return the time zone of this machine."""
    try:
        if name := os.environ.get("TZ", "").removeprefix(":"):
            return zoneinfo.ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return zoneinfo.ZoneInfo.from_file(file)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        pass
    found = datetime.now().astimezone().tzinfo
    assert found is not None
    return found
