"""Bare commits beside a server: their latency is that of the disk itself."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType


class Commits:
    """Commits of one row, synced as this server's own are, twenty a second while entered."""

    def __init__(self, folder: str | Path) -> None:
        self.seconds: list[float] = []
        self._folder = tempfile.TemporaryDirectory(dir=folder)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Commits:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._folder.cleanup()

    def _run(self) -> None:
        database = sqlite3.connect(Path(self._folder.name, "bare.db"), isolation_level=None)
        for setting in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {setting}")
        database.execute("CREATE TABLE t (text TEXT)")
        while not self._over.wait(0.05):
            begun = time.perf_counter()
            database.execute("INSERT INTO t VALUES (?)", ("x" * 64,))
            self.seconds.append(time.perf_counter() - begun)
        database.close()
