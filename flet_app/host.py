"""The interface for what differs between a browser and a desktop window."""

from __future__ import annotations

import os
import zoneinfo
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Protocol

from flet_app.script import PageScript
from shared.client import ChatClient

LANGUAGES = ("en", "id")
"""The languages of the app; the first is the default."""


class NoRoom(Exception):
    """The disk is too full for the file, or this session already holds too many bytes."""


class TooManyFiles(Exception):
    """This session has the maximum number of links; withdraw some."""


@dataclass(frozen=True, slots=True)
class ExpectedUpload:
    """A file that a browser is about to upload.

    Args:
        url: Where the browser must PUT the content, once, within 10 minutes.
        path: Where the content is afterwards; no file is there until the upload is complete.
    """

    url: str
    path: Path


class PageHost(Protocol):
    """The environment of one session; `start` receives it and closes it with the page."""

    server: str
    """`ws://` or `wss://` address of the first realm."""
    may_change_server: bool
    """Whether the person may choose another realm; on the desktop the realm is their setting."""
    opens_paths: bool
    """Whether paths from the window are the person's own files. Neither paths nor a claim to be a
    window are accepted from a browser."""
    zone: tzinfo
    """Time zone of the person at this page."""
    language: str
    """One of LANGUAGES: the best match for the preferences of the system or browser."""
    page_script: PageScript | None
    """The page's script, which handles the typed text in a browser; None in a window."""
    folder: Path
    """The folder for files of this session, mode 0700; removed at its end."""

    def admit(self, known: bool) -> None:
        """Note whether somebody is signed in: limits for strangers are lower."""
        ...

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        """Return a client, not yet entered, that acts for the person at this page.

        Args:
            token: The token of an earlier session, or empty.
            options: Further arguments of `ChatClient`.

        Raises:
            ValueError: `server` is not the address of a realm.
        """
        ...

    def show(self, path: Path, type: str) -> str:
        """Return the `src` for an `ft.Image` of a file in `folder`.

        Args:
            type: One of IMAGES.

        Raises:
            ValueError: another type, or the file is not in `folder`.
            TooManyFiles: the session has too many links.
        """
        ...

    def offer(self, path: Path, name: str) -> str:
        """Return the URL at which the browser saves a file in `folder`; not on the desktop.

        Args:
            name: The name for the browser's download.

        Raises:
            ValueError: the file is not in `folder`.
            TooManyFiles: as it says.
            NotImplementedError: on the desktop, where a dialog asks for the place.
        """
        ...

    def expect(self, name: str, size: int) -> ExpectedUpload:
        """Return the place for one file of the person's: an upload, or pasted content.

        Args:
            name: The file's name; the file in `folder` gets it, cleaned.
            size: Its size in bytes; an upload of another size is refused.

        Raises:
            ValueError: `size` is negative.
            NoRoom, TooManyFiles: as they say.
        """
        ...

    def withdraw(self, url: str) -> None:
        """Revoke what `show`, `offer` or `expect` returned; an upload is removed."""
        ...

    def close(self) -> None:
        """Remove the folder and revoke all links; may be called again."""
        ...


def language_of(wishes: list[str]) -> str:
    """Return the first of LANGUAGES among the preferred tags, such as `id-ID` or `en_GB.UTF-8`."""
    for wish in wishes:
        tag = wish.replace("_", "-").partition("-")[0].partition(".")[0].lower()
        tag = {"in": "id"}.get(tag, tag)  # the code of Indonesian until 1989
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
