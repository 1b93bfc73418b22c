"""`./chat bench` with real processes: the relay and our own server."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from benchmarks.__main__ import RESULTS, STOPPED, TABLE
from benchmarks.comparison import measured
from benchmarks.load import QUICK
from benchmarks.processes import Cores, session, tree
from benchmarks.results import Results
from benchmarks.servers import SERVERS
from benchmarks.servers.relay import Relay
from benchmarks.servers.server import DISK, listens
from benchmarks.servers.simple_chatting import SimpleChatting
from benchmarks.workloads import WORKLOADS
from tests.realserver import ROOT

pytestmark = pytest.mark.system

ANYWHERE = Cores(None, None)


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it where no Debian package seems installed."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--out", str(folder), *words],
        cwd=ROOT,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
    )


def test_it_compares_what_is_installed_and_names_the_rest(tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"
    done = bench(tmp_path, "--quick", "--picture", str(picture))
    assert done.returncode == 0, done.stderr
    assert "left out prosody-sqlite: apt-get install prosody lua-dbi-sqlite3\n" in done.stderr

    runs = Results.read(tmp_path / RESULTS).runs
    assert {(run.server, run.workload) for run in runs} == {
        (server, workload)
        for server in ("relay", "simple-chatting")
        for workload, kind in WORKLOADS.items()
        if kind.runs_on(SERVERS[server])
    }
    for run in runs:
        assert run.sound
        assert run.figures["rate"] > 0
        if run.workload not in ("idle", "return"):
            assert run.figures["sent"] > 0
        if run.workload != "idle":
            assert 0 < run.figures["p50_ms"] <= run.figures["p99_ms"]
    assert done.stdout.strip() == (tmp_path / TABLE).read_text().strip()
    assert done.stdout.count("| simple-chatting |") == 1 + len(WORKLOADS)
    assert "simple-chatting" in picture.read_text()


def test_a_server_asked_for_but_missing_is_an_error(tmp_path: Path) -> None:
    refused = bench(tmp_path, "--servers", "relay,ejabberd-sqlite")
    assert refused.returncode == 1
    assert refused.stderr == (
        "Cannot run ejabberd-sqlite: apt-get install ejabberd erlang-p1-sqlite3\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--servers", "relay,irc"),
        ("--workloads", "chess"),
        ("--rounds", "0"),
        ("--rounds", "0.5"),
        ("--seconds", "nan"),
        ("--again",),
        ("--picture", "picture.svg", "--workloads", "group,idle"),
        ("--picture", "nowhere/picture.svg"),
    ],
)
def test_a_wrong_flag_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    refused = bench(tmp_path, *words)
    assert refused.returncode == 2
    assert refused.stderr.startswith("usage: ./chat bench")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("name", [*SERVERS, *WORKLOADS])
def test_every_server_and_workload_is_documented(name: str) -> None:
    assert f"| `{name}` |" in (ROOT / "docs" / "benchmarks.md").read_text()


class Forgetful(SimpleChatting):
    """Its database loses a message behind its back."""

    async def stored(self) -> Iterable[str]:
        with closing(sqlite3.connect(self.folder / "data" / "chat.db")) as database:
            database.execute("DELETE FROM messages WHERE row = 1")
            database.commit()
        return await super().stored()


def test_a_message_that_is_not_in_the_store_is_noticed() -> None:
    outcome = measured(Forgetful, ANYWHERE, QUICK, "private", 1)
    assert outcome.faults == {"wrong in the store": 1}


def server_of(bench: int) -> tuple[int, Path]:
    """Return the process and the folder of the server that is under measurement."""
    while True:
        for pid in tree([bench])[1:]:
            with suppress(OSError):
                folder = Path(os.readlink(f"/proc/{pid}/cwd"))
                if folder.is_relative_to(DISK):
                    return pid, folder
        time.sleep(0.01)


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_who_stops_it_finds_no_server_left_and_what_was_measured(
    tmp_path: Path, way: signal.Signals
) -> None:
    words = ("--servers", "relay", "--workloads", "private", "--rounds", "50", "--quick")
    running = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--out", str(tmp_path), *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr
    for line in running.stderr:
        if line.startswith("round 2 of 50"):
            break
    server, folder = server_of(running.pid)
    # Who is impatient sends it twice.
    running.send_signal(way)
    running.send_signal(way)
    _, said = running.communicate(timeout=30)
    assert running.returncode == STOPPED
    assert "Stopped" in said
    assert not folder.exists()
    assert session(server) is None
    assert len(Results.read(tmp_path / RESULTS).runs) >= 2


async def test_a_server_leaves_neither_process_nor_folder() -> None:
    relay = Relay(ANYWHERE)
    await relay.start()
    (pid,) = relay.pids
    assert session(pid) == pid
    relay.discard()
    assert session(pid) is None
    assert not listens(relay.port)
    assert relay.folder.name not in os.listdir(DISK)


async def test_a_server_that_does_not_start_says_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Relay, "command", lambda self: [sys.executable, "-c", "exit('no way')"])
    relay = Relay(ANYWHERE)
    try:
        with pytest.raises(RuntimeError, match="relay did not open its port: no way"):
            await relay.start()
    finally:
        relay.discard()
