"""A PostgreSQL cluster of the tests' own, with the settings it comes with."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ws_server.store.database import Database
from ws_server.store.schema import metadata

START_LIMIT = 30.0
"""Seconds PostgreSQL may take to answer; generous, as test machines are busy."""
ROLE, PASSWORD = "chat", "secret-of-chat"
NUMBER = count(1)
KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.system)]
"""Of databases, as parameters of tests."""


def program(name: str) -> str | None:
    """Return the path of a program of PostgreSQL's, the newest version of it."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: float(p.parts[-3])
    )
    return str(debian[-1]) if debian else shutil.which(name)


def missing() -> str:
    """Return why there can be no cluster here; nothing if there can."""
    absent = [name for name in ("initdb", "postgres", "psql") if program(name) is None]
    return f"PostgreSQL is not installed: no {', '.join(absent)}" if absent else ""


def _someone_else() -> dict[str, Any]:
    """Return who runs PostgreSQL, which refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            who = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    raise RuntimeError("there is neither a user postgres nor nobody to run PostgreSQL")


def _end_with_the_tests() -> None:
    """Let Linux end this process when the one that started it is killed (man 2 prctl)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


class Cluster:
    """PostgreSQL on a free port of 127.0.0.1, with one role, who owns everything."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="chat-postgresql-"))
        self._who = _someone_else()
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if self._who:
            for path in (self._folder, secret):
                os.chown(path, self._who["user"], self._who["group"])
        self._run(
            *("initdb", "--auth=scram-sha-256", f"--username={ROLE}", f"--pwfile={secret}"),
            *("--encoding=UTF8", "--no-locale", "-D", self._folder / "data"),
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._realm = ""

    def _run(self, name: str, *arguments: Any) -> None:
        done = subprocess.run(
            [str(program(name)), *map(str, arguments)],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **self._who,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start, and return once it answers."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        where = ["-D", str(self._folder / "data"), "-p", str(self.port)]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(program("postgres")), *where, *options],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_the_tests,
                **self._who,
            )
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if self._ask("postgres", "SELECT 1").returncode == 0:
                return
            if self._process.poll() is not None:
                # What is left of a cluster that was killed keeps a new one off for a moment.
                time.sleep(0.1)
                self.start()
                return
        raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")

    def kill(self) -> None:
        """End the postmaster as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send the postmaster a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it in good order, whoever is connected."""
        self.signal(signal.SIGINT)
        assert self._process is not None
        self._process.wait(30)

    def remove(self) -> None:
        """End it and delete everything."""
        if self._process is not None and self._process.poll() is None:
            # Without the last checkpoint, which would sync the files of all databases.
            self.signal(signal.SIGQUIT)
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql+asyncpg://{ROLE}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def sql(self, url: str, statement: str) -> str:
        """Run a statement in a database, as its administrator might, and return what it says."""
        done = self._ask(url.rpartition("/")[2], statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _ask(self, name: str, statement: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.psql(name), "-c", statement],
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def psql(self, name: str) -> list[str]:
        """Return the command of a terminal in a database."""
        who = ["-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-d", name]
        return [str(program("psql")), "-XqAt", "-v", "ON_ERROR_STOP=1", *who]

    @property
    def environment(self) -> dict[str, str]:
        """What `psql` needs."""
        return {**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "5"}

    def new_database(self) -> str:
        """Make a database without anything in it and return its URL."""
        name = f"realm{next(NUMBER)}"
        self.sql("/postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def fresh_realm(self) -> str:
        """Return the URL of a database with the newest schema, of which nobody else makes use.

        It is one for all tests, emptied: making one takes half a second.
        """
        if not self._realm:
            url = self.new_database()
            with ThreadPoolExecutor(1) as thread:  # the caller's may have a running loop
                thread.submit(lambda: Database.open(url).close()).result()
            self._realm = url
        deletes = [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
        counters = "SELECT setval(seqrelid::regclass, 1, false) FROM pg_sequence"
        self.sql(self._realm, "; ".join([*deletes, counters]))
        return self._realm
