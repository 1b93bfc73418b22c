"""An import that is cut off: all or nothing.

`CHAT_IMPORT_ROUNDS=100` kills more often; `CHAT_IMPORT_SEED` repeats the choices of a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import orjson
import pytest

from tests.admin.command import admin, done
from tests.admin.oldfolder import OldFolder, counts, crowd, file, history, text
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer
from tests.system.test_store_faults import mounted

ROUNDS = int(os.environ.get("CHAT_IMPORT_ROUNDS", "2"))
SEED = int(os.environ.get("CHAT_IMPORT_SEED", "0")) or time.time_ns() % 1_000_000
PEOPLE, MESSAGES = 30, 4_000
ALL = (PEOPLE, 5, MESSAGES + 5, 5, 0)


def begin(old: OldFolder, data: Path) -> subprocess.Popen[str]:
    """Begin an import in a process of its own."""
    return subprocess.Popen(
        [*EXECUTED, "admin", "import-json", "--create", old.path, "--data", data],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def people(data: Path) -> int:
    """Return how many accounts there are, but for the one made before."""
    return len(done("user", "list", data=data).splitlines()) - 1


async def assert_whole(server: RealServer) -> None:
    """Everything of `crowd` is there once."""
    client = await RawClient.open(server.url)
    await client.ask("auth", user="user0", password="secret-user0")
    found = 0
    for group in range(1, 6):
        found += len(await history(client, f"#{group}"))
    for n in range(5):
        await client.ask("auth", user=f"user{n}", password=f"secret-user{n}")
        found += len(await history(client, f"user{n + 1}"))
    assert found == MESSAGES + 5
    await client.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["closed realm", "command", "server"])
async def test_killed_at_any_moment_it_leaves_all_or_nothing(tmp_path: Path, victim: str) -> None:
    print(f"CHAT_IMPORT_SEED={SEED}")
    chance = random.Random(SEED)
    old = crowd(tmp_path / "old", PEOPLE, MESSAGES)
    server = RealServer(tmp_path)
    try:
        server.start()
        await (await RawClient.signed_in(server.url, "rosa")).close()
        if victim == "closed realm":
            server.stop()
        begun = time.monotonic()
        done("import-json", "--create", old.path, data=tmp_path / "measured")
        whole = time.monotonic() - begun
        for _ in range(ROUNDS):
            running = begin(old, server.data)
            await asyncio.sleep(chance.uniform(0.2, 1.1) * whole)
            if victim == "server":
                server.kill()
                assert running.wait(60) in (0, 1)
                server.start()
            else:
                running.kill()
                running.wait()
            said = "".join(running.communicate())
            assert "Traceback" not in said, said
            assert people(server.data) in (0, PEOPLE)
        said = done("import-json", "--create", old.path, data=server.data)
        assert people(server.data) == PEOPLE
        assert counts(said) == ALL or "Nothing new" in said
        assert counts(done("import-json", "--create", old.path, data=server.data)) == (
            0,
            0,
            0,
            0,
            0,
        )
        if victim == "closed realm":
            server.start()
        await assert_whole(server)
        assert "Traceback" not in server.log
    finally:
        server.kill()


def spoken(count: int) -> bytes:
    """Return what the command says to the server to import some users, to its end."""
    request = orjson.dumps({"command": "import-json", "given": {"folder": "old"}})
    body = orjson.dumps({"nama": "x", "negara": "x", "password": "secret"})
    parts = []
    for number in range(count):
        name = f"users/cut{number}.json"
        head = orjson.dumps({"part": name, "size": len(body), "fault": ""})
        parts += [head, b"\n", body]
    return b"".join((request, b"\n", *parts, b"\n"))


async def speak(server: RealServer, words: bytes) -> None:
    """Say something at the admin socket and be gone."""
    _, writer = await asyncio.open_unix_connection(server.data / "admin.sock")
    writer.write(words)
    writer.close()
    await writer.wait_closed()


def wait_for_line(server: RealServer, words: str) -> None:
    """Wait until the server has logged something."""
    deadline = time.monotonic() + 30
    while words not in server.log:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_a_command_cut_off_at_any_byte_changes_nothing(real_server: RealServer) -> None:
    """A kill amid a line once left a traceback in the server's log."""
    words = spoken(1)
    for length in range(60, len(words), 3):
        await speak(real_server, words[:length])
    done("status", data=real_server.data)
    assert done("user", "list", data=real_server.data) == ""
    assert "Traceback" not in real_server.log


async def test_a_command_that_dies_once_all_is_said_imports_all(real_server: RealServer) -> None:
    """What the server had to say to nobody once became a traceback in its log."""
    await speak(real_server, spoken(6))
    wait_for_line(real_server, "act=admin ")
    assert len(done("user", "list", data=real_server.data).splitlines()) == 6
    assert "Traceback" not in real_server.log


async def test_interrupted_it_says_so_and_leaves_all_or_nothing(tmp_path: Path) -> None:
    old = crowd(tmp_path / "old", PEOPLE, MESSAGES)
    for moment in (0.8, 1.6):
        running = begin(old, tmp_path / "data")
        await asyncio.sleep(moment)
        running.send_signal(signal.SIGINT)
        said, why = running.communicate(timeout=60)
        if running.returncode != 0:
            assert running.returncode in (130, -signal.SIGINT), why
    root = ("user", "add", "rosa", "--real-name", "Rosa", "--country", "Peru", "--create")
    done(*root, data=tmp_path / "data", input="secret-rosa")
    assert people(tmp_path / "data") in (0, PEOPLE)
    done("import-json", "--create", old.path, data=tmp_path / "data")
    assert people(tmp_path / "data") == PEOPLE


async def test_a_server_that_stops_gives_the_import_up(tmp_path: Path) -> None:
    old = crowd(tmp_path / "old", PEOPLE, MESSAGES)
    server = RealServer(tmp_path)
    try:
        server.start()
        await (await RawClient.signed_in(server.url, "rosa")).close()
        running = begin(old, server.data)
        await asyncio.sleep(1)
        assert server.stop() == 0
        running.wait(60)
        assert "Traceback" not in server.log + "".join(running.communicate())
        server.start()
        assert people(server.data) in (0, PEOPLE)
    finally:
        server.kill()


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


@pytest.mark.parametrize("what", ["messages", "a file"])
async def test_on_a_full_disk_nothing_comes_in_and_all_of_it_later(
    tmp_path: Path, what: str
) -> None:
    if what == "messages":
        old = crowd(tmp_path / "old", PEOPLE, 40_000)
    else:
        old = OldFolder(tmp_path / "old")
        old.user("user0")
        old.private("user0_user0", text("user0", "one"), file("user0", "x", bytes(8 << 20)))
    server = RealServer(tmp_path)
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "size=6m", "none"):
        try:
            server.start()
            root = await RawClient.signed_in(server.url, "rosa")
            ended = admin("import-json", "--create", old.path, data=server.data)
            assert ended.returncode == 1
            assert "run this again" in ended.stderr
            assert people(server.data) == 0
            await root.ask("send", to="rosa", text="people go on")
            enlarge(server.data)
            said = done("import-json", "--create", old.path, data=server.data)
            assert counts(said)[2] == (40_005 if what == "messages" else 2)
            await root.close()
            assert "Traceback" not in server.log
        finally:
            server.kill()
