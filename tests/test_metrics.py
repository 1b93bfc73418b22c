"""What `/metrics` counts; the page that explains it is compared in test_observability.py."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.wire import CLOSE, TEXT, Wire, frame
from tests.world import World
from ws_server import __version__
from ws_server.durations import BOUNDS, Durations
from ws_server.net import listener as listener_module

Readings = dict[str, float]


async def readings(server: RealServer) -> Readings:
    """Return every number of /metrics by its name and labels."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    body = (await reader.read()).decode().partition("\r\n\r\n")[2]
    writer.close()
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sample.labels.items()): (
            sample.value
        )
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


async def changed(server: RealServer, before: Readings, name: str) -> float:
    """Wait until a number has risen, and return by how much."""
    async with asyncio.timeout(20):
        while True:
            risen = (await readings(server)).get(name, 0) - before.get(name, 0)
            if risen:
                return risen
            await asyncio.sleep(0.02)


@pytest.fixture
async def before(server: RealServer) -> AsyncIterator[Readings]:
    yield await readings(server)
    for wire in Wire.opened:
        wire.drop()
    Wire.opened.clear()


async def test_a_refusal_counts_under_its_code(server: RealServer, before: Readings) -> None:
    client = await RawClient.open(server.url)
    for command, code in (("histroy", "bad_command"), ("whoami", "not_authenticated")):
        assert (await client.say(command))["code"] == code
        assert await changed(server, before, f"chat_errors_total code={code}") == 1
    await client.close()


async def test_every_code_is_shown_before_it_happens(server: RealServer, before: Readings) -> None:
    assert before["chat_errors_total code=internal"] == 0
    assert before["chat_failed_commits_total"] == 0


async def test_commits_and_pushes_are_timed(server: RealServer, before: Readings) -> None:
    alice, bob = [await RawClient.signed_in(server.url, name) for name in ("alice", "bob")]
    await alice.ask("send", to="bob", text="hi")
    await bob.event("message")
    now = await readings(server)
    commits = now["chat_commits_total"] - before["chat_commits_total"]
    assert commits >= 3
    for name in ("chat_commit_seconds", "chat_push_seconds"):
        count, total = (now[name + end] - before[name + end] for end in ("_count", "_sum"))
        assert count == commits
        assert 0 < total < 60
        assert now[f"{name}_bucket le=+Inf"] == now[f"{name}_count"]
    for client in (alice, bob):
        await client.close()


async def test_an_end_counts_by_who_ended_it(server: RealServer, before: Readings) -> None:
    client = await RawClient.open(server.url)
    await client.close()
    assert await changed(server, before, "chat_closed_total by=client") == 1
    (await Wire.open(server.port)).drop()
    assert await changed(server, before, "chat_closed_total by=lost") == 1
    wire = await Wire.open(server.port)
    wire.writer.write(frame(TEXT, b"\xff"))
    assert await wire.close_code() == 1007
    wire.drop()
    assert await changed(server, before, "chat_closed_total by=1007") == 1
    # A client may choose among thousands of codes; they make no series of their own.
    before = await readings(server)
    wire = await Wire.open(server.port)
    wire.writer.write(frame(CLOSE, (4321).to_bytes(2, "big")))
    assert await wire.close_code() == 4321
    wire.drop()
    assert await changed(server, before, "chat_closed_total by=client") == 1
    assert not any("4321" in name for name in await readings(server))


async def test_contents_and_the_room_left_are_told(server: RealServer, before: Readings) -> None:
    assert before["chat_disk_free_bytes"] > 0
    assert before["chat_database_bytes"] > 0
    client = await RawClient.signed_in(server.url, "carol")
    data = base64.b64encode(b"x" * 1000).decode()
    for _ in range(2):  # equal content is stored once
        await client.ask("sendfile", to="carol", name="x.txt", data=data)
    now = await readings(server)
    assert now["chat_file_bytes"] - before["chat_file_bytes"] == 1000
    assert now["chat_database_bytes"] >= before["chat_database_bytes"]
    await client.close()


async def test_the_realm_and_its_version_are_told(server: RealServer, before: Readings) -> None:
    assert before[f"chat_info realm=alpha version={__version__}"] == 1


async def test_contents_are_counted_anew_at_start(real_server: RealServer) -> None:
    client = await RawClient.signed_in(real_server.url, "dave")
    data = base64.b64encode(b"x" * 1000).decode()
    await client.ask("sendfile", to="dave", name="x.txt", data=data)
    await client.close()
    assert await asyncio.to_thread(real_server.stop) == 0
    real_server.start()
    assert (await readings(real_server))["chat_file_bytes"] == 1000


@pytest.mark.slow
async def test_a_commit_that_failed_is_no_commit(real_server: RealServer) -> None:
    client = await RawClient.signed_in(real_server.url, "erin")
    before = await readings(real_server)
    other = sqlite3.connect(real_server.data / "chat.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await client.say("send", to="erin", text="hi"))["code"] == "unavailable"
    other.execute("ROLLBACK")
    other.close()
    assert await changed(real_server, before, "chat_failed_commits_total") == 1
    assert (await readings(real_server))["chat_commits_total"] == before["chat_commits_total"]
    await client.close()


async def test_who_is_closed_by_the_server_counts_under_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "SIGN_IN_TIMEOUT", 0.1)
    async with World(tmp_path) as world:
        assert world._server is not None
        client = await RawClient.open(f"ws://127.0.0.1:{world._server.port}/")
        with pytest.raises(ConnectionClosed):
            await client.frame()
        await client.close()
        await world._server.listener.close()
        assert world._server.listener.closed == {"4500": 1}


def test_durations_fall_into_rising_bounds() -> None:
    durations = Durations()
    for seconds in (0.0001, BOUNDS[0], 0.3, 100):
        durations.add(seconds)
    assert durations.total == pytest.approx(100.3001, abs=0.001)
    buckets = durations.buckets()
    assert [bound for bound, _ in buckets] == [*map(str, BOUNDS), "+Inf"]
    assert dict(buckets)["0.0005"] == 2
    assert dict(buckets)["0.25"] == 2
    assert dict(buckets)["0.5"] == 3
    assert dict(buckets)["+Inf"] == 4
