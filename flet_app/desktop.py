"""The desktop app: one window, drawn by Flet's client program, which talks to this process."""

from __future__ import annotations

import importlib.util
import locale
import os
import secrets
import shutil
import tempfile
from datetime import tzinfo
from pathlib import Path
from typing import Any

import flet as ft
from flet.utils import is_linux_server

from flet_app.host import ExpectedUpload, language_of, local_zone
from flet_app.main import start
from flet_app.script import PageScript
from flet_app.settings import AppSettings
from flet_app.site import ASSETS
from shared.client import ChatClient
from shared.program_name import program_name
from shared.protocol.file_names import clean_file_name
from shared.protocol.media_types import IMAGES
from shared.settings import SettingsRefused

INSTEAD = f"Or use the app in a browser: {program_name('flet_app')} --web"
PROGRAMS = ("flet", "flet.exe", "Flet.app")
"""The names of Flet's client program on each system."""
MAX_FOLDER_BYTES = 90
"""Bytes of a folder's path that leave room for Flet's socket; some systems allow 104 in all."""
ELSEWHERE = ("FLET_FORCE_WEB_SERVER", "FLET_DISPLAY_URL_PREFIX", "FLET_SERVER_PORT")
"""Variables that would make Flet open a port instead of a window."""


class WindowHost:
    """The `PageHost` of a window. The person chooses in dialogs where files are read and saved."""

    may_change_server = True
    opens_paths = True
    page_script: PageScript | None = None

    def __init__(self, server: str, folder: Path) -> None:
        """Make a folder of its own in one that is removed when the window is closed."""
        self.server = server
        self.zone: tzinfo = local_zone()
        self.language = language_of([wish for wish in _wishes() if wish])
        self.folder = Path(tempfile.mkdtemp(prefix="window-", dir=folder))

    def admit(self, known: bool) -> None:
        pass

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        return ChatClient(server, token=token, **options)

    def show(self, path: Path, type: str) -> str:
        if type not in IMAGES:
            raise ValueError(f"{type} is none of {', '.join(sorted(IMAGES))}")
        return str(path)

    def offer(self, path: Path, name: str) -> str:
        raise NotImplementedError("a window saves by a dialog")

    def expect(self, name: str, size: int) -> ExpectedUpload:
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        return ExpectedUpload("", folder / clean_file_name(name))

    def withdraw(self, url: str) -> None:
        pass

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _wishes() -> list[str]:
    """Return the system's preferred languages in order (as gettext reads them)."""
    named = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    return [*os.environ.get("LANGUAGE", "").split(":"), *named, locale.getlocale()[0] or ""]


def open_window(settings: AppSettings) -> None:
    """Open the window; return when it is closed.

    Raises:
        SettingsRefused: there is no display, or Flet's client program is missing.
    """
    if is_linux_server():
        raise SettingsRefused(
            "There is no display to open a window on: DISPLAY is not set. Start it in a graphical "
            f"session. {INSTEAD}"
        )
    _prepare_window()
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    opened = False

    async def open_page(page: ft.Page) -> None:
        nonlocal opened
        opened = True
        await start(page, WindowHost(settings.server, Path(folder)))

    with tempfile.TemporaryDirectory(prefix="simple-chatting-") as folder:
        if len(os.fsencode(folder)) > MAX_FOLDER_BYTES:
            raise SettingsRefused(
                f"The folder for temporary files, {Path(folder).parent}, has too long a path for a "
                "socket. Set TMPDIR to a shorter one"
            )
        os.environ["FLET_SERVER_UDS_PATH"] = os.path.join(folder, "flet")
        ft.run(open_page, name="", assets_dir=str(ASSETS), view=ft.AppView.FLET_APP)
    if not opened:
        raise SettingsRefused(
            "Flet's program for the window ended before it showed anything; what it wrote above "
            "says why. On Debian or Ubuntu it needs: sudo apt-get install libgtk-3-0 libsecret-1-0 "
            f"zenity. {INSTEAD}"
        )


def _prepare_window() -> None:
    """Make sure that Flet's client program is here; Flet downloads it at first use.

    Raises:
        SettingsRefused: the program cannot be downloaded or found.
    """
    if importlib.util.find_spec("flet_desktop") is None:
        raise SettingsRefused(
            f"The package flet-desktop is not installed: pip install flet-desktop. {INSTEAD}"
        )
    import flet_desktop

    if given := os.environ.get("FLET_VIEW_PATH"):
        if not any((Path(given) / name).exists() for name in PROGRAMS):
            raise SettingsRefused(
                f"FLET_VIEW_PATH={given} holds none of {', '.join(PROGRAMS)}; it must be the "
                "folder with Flet's program for the window"
            )
        return
    try:
        flet_desktop.ensure_client_cached()
    except Exception as error:  # a download, an archive and a disk can raise anything
        version = flet_desktop.version.version
        archive = flet_desktop.get_artifact_filename()
        raise SettingsRefused(
            "Flet's program for the window could not be fetched from "
            f"https://github.com/flet-dev/flet/releases/tag/v{version}: {error}. Try again with "
            f"internet, or download {archive} from there elsewhere, "
            "and set FLET_CLIENT_URL=file:///PATH/TO/IT, or FLET_VIEW_PATH to the folder it is "
            f"unpacked in. {INSTEAD}"
        ) from error
