"""A store that fails refuses in order, keeps nothing half, and works again (contract, 3 and 5)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.history import history
from tests.mounting import mounted
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer

MIB = 2**20


def assert_unavailable(reply: dict[str, Any]) -> None:
    """The refusal says that the same may succeed later."""
    assert (reply["status"], reply.get("code")) == ("ERROR", "unavailable"), reply
    assert reply["temporary"] is True


async def status(server: RealServer, path: str) -> int:
    """Ask for a page and return the status of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    return int(line.split()[1])


@contextmanager
def held(data: Path, how: str) -> Iterator[None]:
    """Hold the database from another process's point of view: a connection of its own."""
    with closing(sqlite3.connect(data / "chat.db", isolation_level=None, timeout=20)) as other:
        other.execute(f"BEGIN {how}")
        yield
        other.execute("ROLLBACK")


async def test_a_locked_database_refuses_and_then_works_again(real_server: RealServer) -> None:
    """Contract 3: `unavailable` means that nothing was done; seq shows no gap for it."""
    alice = await RawClient.signed_in(real_server.url, "alice")
    bob = await RawClient.signed_in(real_server.url, "bob")
    await alice.ask("creategroup", name="all")
    await alice.ask("send", to="bob", text="before")
    with held(real_server.data, "EXCLUSIVE"):
        for number in range(20):
            await alice.send("send", to="bob", text=f"{number}", idempotency_key=f"key-{number}")
        for _ in range(20):
            assert_unavailable(await alice.reply())
        assert_unavailable(await alice.say("sendfile", to="bob", name="x", data="eA=="))
        # Readers do not wait for writers, and who is connected stays so.
        assert [message["text"] for message in await history(bob.ask, "alice")] == ["before"]
        await bob.ask("ping")
    for number in range(20):
        reply = await alice.ask("send", to="bob", text=f"{number}", idempotency_key=f"key-{number}")
        assert (reply["seq"], "duplicate" in reply) == (number + 2, False)
    assert (await alice.ask("creategroup", name="next"))["group"] == "#2"
    texts = [message["text"] for message in await history(bob.ask, "alice")]
    assert texts == ["before", *(f"{number}" for number in range(20))]
    pushed = [event["text"] for event in await bob.settled() if event["event"] == "message"]
    assert pushed == texts
    assert "Traceback" not in real_server.log
    await alice.close()
    await bob.close()


async def test_a_short_lock_only_delays(real_server: RealServer) -> None:
    """A backup tool that holds the database for a moment costs nobody a message."""
    alice = await RawClient.signed_in(real_server.url, "alice")
    await alice.ask("send", to="alice", text="before")
    with held(real_server.data, "IMMEDIATE"):
        await alice.send("send", to="alice", text="waits")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(alice.socket.recv(), 0.5)
    reply = await alice.reply()
    assert (reply["status"], reply["seq"]) == ("OK", 2)
    await alice.close()


async def test_readyz_tells_a_store_that_does_not_answer(real_server: RealServer) -> None:
    """Contract 1: /readyz is 200 when the store answers, /healthz while the process lives."""
    server = real_server
    assert (await status(server, "/healthz"), await status(server, "/readyz")) == (200, 200)
    with held(real_server.data, "IMMEDIATE"):
        assert (await status(server, "/healthz"), await status(server, "/readyz")) == (200, 503)
    assert await status(server, "/readyz") == 200


class Disk:
    """A disk that can be full."""

    def __init__(self, server: RealServer) -> None:
        self.server = server

    def fill(self) -> None:
        raise NotImplementedError

    def clear(self) -> None:
        raise NotImplementedError


class SmallDisk(Disk):
    """A memory disk of its own for the data folder: every write fails with ENOSPC."""

    def fill(self) -> None:
        with suppress(OSError), open(self.server.data / "ballast", "wb", buffering=0) as ballast:
            for size in (65_536, 4_096):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def clear(self) -> None:
        (self.server.data / "ballast").unlink()


class ShortFiles(Disk):
    """A limit on the size of files: writes beyond it fail with EFBIG."""

    def fill(self) -> None:
        wal = (self.server.data / "chat.db-wal").stat().st_size
        self._limit(wal)

    def clear(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        _, hard = resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture(params=["no-space-left", "file-too-large"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A server on a disk that can be filled."""
    server = RealServer(tmp_path)
    if request.param == "file-too-large":
        if not hasattr(resource, "prlimit"):
            pytest.skip("only Linux can limit another process")
        server.start()
        yield ShortFiles(server)
        server.kill()
        return
    if sys.platform != "linux":
        pytest.skip("only Linux has memory disks of a fixed size")
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "size=3m", "none"):
        server.start()
        yield SmallDisk(server)
        server.kill()


async def test_a_full_disk_refuses_and_then_works_again(disk: Disk) -> None:
    """Contract 3 and 5: `unavailable`, nothing half; the same key sends once later."""
    server = disk.server
    alice = await RawClient.signed_in(server.url, "alice")
    bob = await RawClient.signed_in(server.url, "bob")
    await alice.ask("send", to="bob", text="0" * 16_000, idempotency_key="key-0")
    content = bytes(range(256)) * 1_600
    file = {
        "to": "bob",
        "name": "x.bin",
        "data": base64.b64encode(content).decode(),
        "idempotency_key": "key-file",
    }
    disk.fill()
    refused = 0
    kept = 1
    for number in range(1, 40):
        text, key = str(number) * 8_000, f"key-{number}"
        reply = await alice.say("send", to="bob", text=text[:16_000], idempotency_key=key)
        if reply["status"] == "OK":
            kept += 1
            assert reply["seq"] == kept
        else:
            assert_unavailable(reply)
            refused += 1
    assert refused
    assert_unavailable(await alice.say("sendfile", **file))
    reply = await alice.say("creategroup", name="x")
    assert reply["status"] == "OK" or reply["code"] == "unavailable"
    # It lives, and what was answered OK can be read.
    assert len(await history(bob.ask, "alice")) == kept
    disk.clear()
    assert (await alice.ask("sendfile", **file))["seq"] == kept + 1
    for number in range(40):
        text, key = str(number) * (8_000 if number else 16_000), f"key-{number}"
        reply = await alice.ask("send", to="bob", text=text[:16_000], idempotency_key=key)
    messages = await history(bob.ask, "alice")
    assert len(messages) == 41
    assert len({message["text"] for message in messages}) == 41
    await bob.ask("files", mode="offer")
    await bob.settled()
    carried = next(message["file"] for message in messages if "file" in message)
    await bob.ask("getfile", file=carried["id"])
    got = b""
    while len(got) < len(content):
        got += base64.b64decode((await bob.event("file"))["data"])
    assert got == content
    # No leftovers: one blob, nothing under way.
    assert [p.name for p in (server.data / "blobs").glob("*/*")] == [carried["sha256"]]
    assert list((server.data / "uploads").iterdir()) == []
    assert "Traceback" not in server.log
    await alice.close()
    await bob.close()
    server.kill()
    server.start()
    bob = await RawClient.signed_in(server.url, "bob", register=False)
    assert await history(bob.ask, "alice") == messages
    await bob.close()


async def test_an_upload_goes_on_where_a_full_disk_stopped_it(disk: Disk) -> None:
    """Contract 3 and 6: a chunk without room is `unavailable`, and its offset holds."""
    server = disk.server
    alice = await RawClient.signed_in(server.url, "alice")
    content = bytes(range(256)) * 2_000
    sha256 = hashlib.sha256(content).hexdigest()
    what = {"to": "alice", "name": "x.bin", "size": len(content), "sha256": sha256}
    opened = await alice.ask("upload", **what)

    def piece(offset: int) -> dict[str, Any]:
        data = base64.b64encode(content[offset : offset + opened["chunk"]]).decode()
        return {"upload": opened["upload"], "offset": offset, "data": data}

    offset = (await alice.ask("chunk", **piece(0)))["offset"]
    disk.fill()
    if isinstance(disk, ShortFiles):
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (offset + 1_000, -1))
    assert_unavailable(await alice.say("chunk", **piece(offset)))
    disk.clear()
    # What was written of the refused chunk is taken off again.
    assert (await alice.ask("upload", **what))["offset"] == offset
    while offset < len(content):
        reply = await alice.ask("chunk", **piece(offset))
        offset = reply["offset"]
    assert (reply["file"]["sha256"], reply["seq"]) == (sha256, 1)
    await alice.close()


async def test_an_upload_ends_once_though_the_database_was_locked(
    real_server: RealServer,
) -> None:
    """Contract 6: the message appears once; a last chunk that was refused may be sent again."""
    alice = await RawClient.signed_in(real_server.url, "alice")
    content = b"x" * 1_000
    sha256 = hashlib.sha256(content).hexdigest()
    what = {"to": "alice", "name": "x.bin", "size": len(content), "sha256": sha256}
    data = base64.b64encode(content).decode()
    opened = await alice.ask("upload", **what)
    with held(real_server.data, "IMMEDIATE"):
        refused = await alice.say("chunk", upload=opened["upload"], offset=0, data=data)
    assert_unavailable(refused)
    again = await alice.ask("upload", **what)
    assert again["upload"] == opened["upload"]
    rest = base64.b64encode(content[again["offset"] :]).decode()
    done = await alice.ask("chunk", upload=again["upload"], offset=again["offset"], data=rest)
    assert (done["seq"], done["file"]["sha256"]) == (1, sha256)
    assert len(await history(alice.ask, "alice")) == 1
    await alice.close()


def failed_start(data: Path, *options: str) -> str:
    """Start a server that must refuse, and return what it prints."""
    done = subprocess.run(
        [
            *(*EXECUTED, "--host", "127.0.0.1", "--port", "0"),
            *("--web-port", "off"),
            *("--data", str(data), *options),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    return said


def test_a_database_of_a_newer_version_is_refused_and_untouched(real_server: RealServer) -> None:
    """DESIGN: schemas only go forward; an older server must not touch a newer database."""
    assert real_server.stop() == 0
    path = real_server.data / "chat.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    said = failed_start(real_server.data)
    assert "newer version" in said
    assert "9999" in said
    assert len(said.strip().splitlines()) == 1
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_what_is_no_database_is_refused_and_untouched(tmp_path: Path) -> None:
    """A file that is no database is named, and not overwritten."""
    noise = b"this is no database, but somebody's letter. " * 300
    (tmp_path / "chat.db").write_bytes(noise)
    said = failed_start(tmp_path)
    assert "chat.db" in said
    assert (tmp_path / "chat.db").read_bytes() == noise


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """The sentence names the option and the path."""
    (tmp_path / "data").write_text("x")
    assert f"--data {tmp_path / 'data'}" in failed_start(tmp_path / "data")


def test_a_second_server_on_one_folder_is_refused(real_server: RealServer) -> None:
    """Contract 9: a second server on one data folder is refused."""
    assert "Another server uses" in failed_start(real_server.data)


def test_a_locked_database_at_start_is_refused(real_server: RealServer) -> None:
    """A start that cannot migrate says why, within seconds, instead of serving half."""
    assert real_server.stop() == 0
    begun = time.monotonic()
    with held(real_server.data, "EXCLUSIVE"):
        assert "locked" in failed_start(real_server.data)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_a_read_only_data_folder_is_refused(tmp_path: Path, used: bool) -> None:
    """The sentence names the folder; root is refused like everybody, as the disk says no."""
    if sys.platform != "linux":
        pytest.skip("only Linux has memory disks")
    data = tmp_path / "data"
    with mounted(data, "-t", "tmpfs", "-o", "size=8m", "none"):
        if used:
            server = RealServer(tmp_path)
            server.start()
            assert server.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", str(data)], check=True)
        assert str(data) in failed_start(data)
