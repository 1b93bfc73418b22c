"""The product as somebody gets it: a copy of the tracked files, started with `./chat`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect  # type: ignore[import-untyped]

from tests.realserver import ROOT, START_LIMIT

ADDRESS = re.compile(r"Realm (\S+) serves wss?://(\S+):(\d+),")


def copy_product(folder: Path) -> Path:
    """Copy the tracked files; the virtual environment of the tests is lent to the copy."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    if sys.prefix != sys.base_prefix:
        (folder / ".venv").symlink_to(sys.prefix)
    return folder


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of a realm, and with `changes`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    return {**kept, **changes}


def run_chat(
    chat: Path, *arguments: str, cwd: Path, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run `./chat` to its end."""
    return subprocess.run(
        [str(chat), *arguments],
        cwd=cwd,
        env=environment(changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Served:
    """`./chat serve` in a terminal, up and listening."""

    def __init__(self, chat: Path, *flags: str, cwd: Path, **changes: str) -> None:
        self.terminal = pexpect.spawn(
            str(chat),
            ["serve", *flags],
            cwd=str(cwd),
            env=environment(changes),
            encoding="utf-8",
            timeout=START_LIMIT,
            dimensions=(50, 1000),
        )
        self.terminal.expect_exact("Ctrl+C stops the server.")
        self.welcome = str(self.terminal.before).replace("\r\n", "\n")
        found = ADDRESS.search(self.welcome)
        assert found, self.welcome
        self.realm, self.host, self.port = found[1], found[2], int(found[3])

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close(force=True)

    def ended(self) -> int:
        """Wait for its end and return the exit code."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return int(self.terminal.exitstatus)

    @property
    def last_words(self) -> str:
        """What it printed before its end."""
        return str(self.terminal.before)
