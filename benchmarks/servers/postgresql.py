"""A PostgreSQL for one server under measurement, with all defaults, on the same core."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.servers.server import START_LIMIT, Server, free_port
from benchmarks.waiting import until

ACCOUNT = "postgres"
"""Debian's account of PostgreSQL, which refuses to run as root."""


class Cluster:
    """Data, socket and processes are below the server's folder and end with the server."""

    def __init__(self, server: Server, database: str) -> None:
        self._server = server
        self._database = database
        self._port = free_port()
        self._data = server.folder / "postgresql"

    @staticmethod
    def version() -> str:
        shown = subprocess.run(
            [*program("postgres"), "--version"], check=True, capture_output=True, text=True, cwd="/"
        )
        return f"PostgreSQL {shown.stdout.split()[2]}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        """The part of its URL after the scheme; every account of this machine is trusted."""
        return f"{ACCOUNT}@127.0.0.1:{self._port}/{self._database}"

    async def start(self, schema: Path | None = None) -> None:
        """Start it; the first time, create it and its database, with a schema if given."""
        fresh = not self._data.exists()
        if fresh:
            self._data.mkdir(mode=0o700)
            if os.geteuid() == 0:
                self._server.folder.chmod(0o711)
                shutil.chown(self._data, ACCOUNT, ACCOUNT)
            run("initdb", "--auth=trust", "--encoding=UTF8", "-U", ACCOUNT, "-D", str(self._data))
        socket = ("-k", str(self._data), "-c", "listen_addresses=127.0.0.1")
        command = [*program("postgres"), "-D", str(self._data), "-p", str(self._port), *socket]
        await self._server.spawn(command, {}, self._port)
        # It listens before it is ready.
        await until(lambda: run("pg_isready", *self._here, check=False) == 0, START_LIMIT)
        if fresh:
            run("createdb", *self._here, self._database)
            if schema is not None:
                run("psql", *self._here, *self._sql, "-f", str(schema))

    def query(self, sql: str) -> list[str]:
        """Return the rows of a query with one column."""
        command = [*program("psql"), *self._here, *self._sql, "-A", "-t", "-c", sql]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd="/"
        ).stdout.splitlines()

    @property
    def _here(self) -> Sequence[str]:
        return ["-h", "127.0.0.1", "-p", str(self._port), "-U", ACCOUNT]

    @property
    def _sql(self) -> Sequence[str]:
        return ["-q", "-v", "ON_ERROR_STOP=1", "-d", self._database]


def program(name: str) -> list[str]:
    """Return the command line of a program of the newest version, never as root."""
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, key=lambda path: int(path.parts[4]))
    if os.geteuid() != 0:
        return [str(newest)]
    as_account = (f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups")
    # A change of account resets the signal at our end, so it is set again.
    return ["setpriv", *as_account, "--pdeathsig=TERM", str(newest)]


def run(name: str, *arguments: str, check: bool = True) -> int:
    """Run a program of PostgreSQL and return its exit code.

    Raises:
        RuntimeError: the program failed and `check` is true; the text is its output.
    """
    done = subprocess.run([*program(name), *arguments], capture_output=True, text=True, cwd="/")
    if check and done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return done.returncode
