"""Files fill the disk, and texts go on; see docs/operations.md."""

from __future__ import annotations

import asyncio
import hashlib
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mounting import mounted
from tests.rawclient import RawClient
from tests.realserver import RealServer

pytestmark = pytest.mark.system
MIB = 1 << 20
SIZE = 256 * 1024
"""Bytes of each file."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """A realm on a disk of 32 MiB, of which 8 are not for files."""
    with mounted(tmp_path / "data", "-t", "tmpfs", "-o", "size=32m", "none"):
        found = RealServer(tmp_path)
        found.start()
        yield found
        found.kill()


def ready(server: RealServer) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


async def asked(server: RealServer) -> tuple[int, str]:
    return await asyncio.to_thread(ready, server)


async def filled(client: RawClient) -> dict[str, object]:
    """Send files until one is refused, and return that refusal."""
    for number in range(200):
        content = os.urandom(SIZE)
        reply = await client.say(
            "upload",
            to="eve",
            name=f"{number}.bin",
            size=SIZE,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        if reply["status"] != "OK":
            return reply
        offset = 0
        while offset < SIZE:
            piece = content[offset : offset + reply["chunk"]]
            sent = await client.ask(
                "chunk", upload=reply["upload"], offset=offset, data=encoded(piece)
            )
            offset = sent["offset"]
    raise AssertionError("the disk has no end")


def fill(path: Path) -> None:
    """Write a file until nothing more fits on its disk."""
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 65_536):
            pass


def encoded(content: bytes) -> str:
    return b64encode(content).decode()


async def test_one_account_fills_the_disk_with_files_and_everybody_goes_on_writing(
    server: RealServer,
) -> None:
    eve, ana = [await RawClient.signed_in(server.url, name) for name in ("eve", "ana")]
    assert await asked(server) == (200, "ready\n")
    refusal = await filled(eve)
    assert (refusal["code"], refusal["temporary"]) == ("unavailable", True), refusal
    assert "texts still work" in str(refusal["message"])
    free = os.statvfs(server.data)
    left = free.f_bavail * free.f_frsize
    assert 7 * MIB < left <= 9 * MIB, left
    # Whole files in one frame meet the same bound, and nothing of them stays.
    before = {path.name for path in (server.data / "blobs").glob("*/*")}
    whole = await ana.say("sendfile", to="eve", name="a.bin", data=encoded(os.urandom(400_000)))
    for _ in range(5):
        whole = await ana.say("sendfile", to="eve", name="a.bin", data=encoded(os.urandom(400_000)))
    assert whole["code"] == "unavailable", whole
    after = {path.name for path in (server.data / "blobs").glob("*/*")}
    assert len(after - before) <= 1
    for number in range(100):
        await ana.ask("send", to="eve", text=f"{number}" * 1_000)
    assert await asked(server) == (200, "ready\n")
    assert "Traceback" not in server.log
    for client in (eve, ana):
        await client.close()


async def test_readiness_says_no_once_no_text_can_be_written_and_why(server: RealServer) -> None:
    ana = await RawClient.signed_in(server.url, "ana")
    await ana.ask("send", to="ana", text="before")
    assert await asked(server) == (200, "ready\n")
    ballast = server.data / "ballast"
    fill(ballast)
    refused = None
    for number in range(400):
        reply = await ana.say("send", to="ana", text=str(number % 10) * 16_000)
        if reply["status"] != "OK":
            refused = reply
            break
    assert refused is not None and refused["code"] == "unavailable"
    # At once, not when the last answer has become old: a commit has failed meanwhile.
    status, why = await asked(server)
    assert status == 503 and "No space left" in why, why
    ballast.unlink()
    assert await asked(server) == (200, "ready\n")
    await ana.ask("send", to="ana", text="after")
    await ana.close()


async def test_who_asks_whether_it_is_ready_makes_no_commits(server: RealServer) -> None:
    """It was one commit for each question, by anybody."""

    def commits() -> float:
        url = f"http://127.0.0.1:{server.port}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            text = answer.read().decode()
        return float(text.split("\nchat_commits_total ")[1].split()[0])

    before = await asyncio.to_thread(commits)
    answers = await asyncio.gather(*(asked(server) for _ in range(60)))
    assert {status for status, _ in answers} == {200}
    assert await asyncio.to_thread(commits) - before <= 12


async def test_all_files_of_a_realm_together_have_a_bound(tmp_path: Path) -> None:
    server = RealServer(tmp_path, "--max-all-files", "1")
    server.start()
    try:
        eve, ana = [await RawClient.signed_in(server.url, name) for name in ("eve", "ana")]
        refusal = await filled(eve)
        assert refusal["code"] == "too_large" and "1,048,576" in str(refusal["message"])
        other = await ana.say("sendfile", to="eve", name="a.bin", data=encoded(os.urandom(SIZE)))
        assert other["code"] == "too_large"
        await ana.ask("send", to="eve", text="still here")
        for client in (eve, ana):
            await client.close()
        server.stop()
        server.start()
        # It is counted anew.
        eve = await RawClient.signed_in(server.url, "eve", register=False)
        assert (await filled(eve))["code"] == "too_large"
        await eve.close()
    finally:
        server.kill()


async def test_texts_of_one_account_have_a_rate_in_bytes(tmp_path: Path) -> None:
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    try:
        eve, ana = [await RawClient.signed_in(server.url, name) for name in ("eve", "ana")]
        refusal = {}
        for _ in range(400):
            refusal = await eve.say("send", to="eve", text="x" * 16_000)
            if refusal["status"] != "OK":
                break
        assert refusal["code"] == "rate_limited" and refusal["retry_after"] > 0, refusal
        assert "text" in refusal["message"]
        await ana.ask("send", to="eve", text="others are not held")
        for client in (eve, ana):
            await client.close()
    finally:
        server.kill()
