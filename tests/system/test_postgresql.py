"""A PostgreSQL that is not there, goes away and comes back (docs/operations.md)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import PASSWORD, Cluster
from tests.history import history
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.test_store_faults import assert_unavailable, failed_start, status


@pytest.fixture
def realm(tmp_path: Path, cluster: Cluster) -> Iterator[RealServer]:
    """A server with its database in PostgreSQL."""
    server = RealServer(tmp_path, environment={"CHAT_DATABASE": cluster.fresh_realm()})
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def alice(realm: RealServer) -> AsyncIterator[RawClient]:
    """Somebody who has written one message to herself."""
    client = await RawClient.signed_in(realm.url, "alice")
    await client.ask("send", to="alice", text="before")
    yield client
    await client.close()


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages]


async def once_ok(alice: RawClient, command: str, **arguments: Any) -> dict[str, Any]:
    """Repeat a command for as long as it is `unavailable`, which must not be long."""
    deadline = time.monotonic() + 30
    while True:
        reply = await alice.say(command, **arguments)
        if reply["status"] == "OK":
            return reply
        assert_unavailable(reply)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def refused_start(data: Path, url: str) -> str:
    begun = time.monotonic()
    said = failed_start(data, "--database", url)
    assert time.monotonic() - begun < 15
    assert len(said.strip().splitlines()) == 1, said
    assert PASSWORD not in said and "wrong-secret" not in said
    return said


def test_a_second_server_on_one_database_is_refused(
    realm: RealServer, tmp_path: Path, cluster: Cluster
) -> None:
    said = refused_start(tmp_path / "other", realm.environment["CHAT_DATABASE"])
    assert "Another server uses this database. Stop it, or" in said


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda url: url.replace(PASSWORD, "wrong-secret"), "password authentication failed"),
        (lambda url: url + "_else", "does not exist"),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
        (lambda url: url + "?nonsense=1", "nonsense"),
        (lambda url: url.replace(PASSWORD, "x@wrong-secret"), "127.0.0.1"),
        (lambda url: url.replace("@127.0.0.1:", "@127.0.0.1:x"), "cannot be read"),
    ],
    ids=["password", "name", "host", "option", "at-sign", "port"],
)
def test_a_database_that_cannot_be_reached_is_refused(
    change: Callable[[str], str], what: str, tmp_path: Path, cluster: Cluster
) -> None:
    assert what in refused_start(tmp_path / "data", change(cluster.fresh_realm()))


@pytest.mark.parametrize("listens", [True, False], ids=["black-hole", "nobody"])
def test_a_port_that_gives_no_answer_is_refused(tmp_path: Path, listens: bool) -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        if listens:
            hole.listen()
        port = hole.getsockname()[1]
        said = refused_start(tmp_path / "data", f"postgresql://chat:{PASSWORD}@127.0.0.1:{port}/x")
    assert f"127.0.0.1:{port}/x" in said and "Start PostgreSQL" in said


async def test_connections_that_were_ended_are_made_anew(
    alice: RawClient, realm: RealServer, cluster: Cluster
) -> None:
    url = realm.environment["CHAT_DATABASE"]
    for number in range(3):
        cluster.sql(
            url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'simple-chatting'",
        )
        # Nobody notices, as nothing was under way.
        await alice.ask("send", to="alice", text=f"{number}")
        assert len(await history(alice.ask, "alice")) == number + 2
    assert "Another server" in refused_start(realm.data.parent / "other", url)
    assert "Traceback" not in realm.log


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_postgresql_that_went_away_is_used_again_when_it_is_back(
    alice: RawClient, realm: RealServer, cluster: Cluster, how: str
) -> None:
    bob = await RawClient.signed_in(realm.url, "bob")
    getattr(cluster, how)()
    begun = time.monotonic()
    try:
        await asyncio.sleep(0.2)  # what a postmaster leaves behind ends a moment after it
        for number in range(10):
            await alice.send("send", to="bob", text=f"{number}", idempotency_key=f"k{number}")
        first = [await alice.reply() for _ in range(10)]
        refused = [reply for reply in first if reply["status"] != "OK"]
        for reply in refused:
            assert_unavailable(reply)
        if how == "stop":
            assert len(refused) == 10
            assert await status(realm, "/readyz") == 503
            assert await status(realm, "/healthz") == 200
            assert_unavailable(await bob.say("history", conversation="alice"))
        await bob.ask("ping")
        assert time.monotonic() - begun < 25
    finally:
        cluster.start()
    for number in range(10):
        reply = await once_ok(
            alice, "send", to="bob", text=f"{number}", idempotency_key=f"k{number}"
        )
        assert reply["seq"] == number + 1
    assert texts(await history(bob.ask, "alice")) == [f"{number}" for number in range(10)]
    assert await status(realm, "/readyz") == 200
    assert "Traceback" not in realm.log
    assert "Another server" in refused_start(
        realm.data.parent / "other", realm.environment["CHAT_DATABASE"]
    )
    await bob.close()


async def test_what_was_answered_ok_outlives_a_postgresql_killed_under_load(
    alice: RawClient, realm: RealServer, cluster: Cluster
) -> None:
    """Each message is there once, under the seq it was answered with; no other was answered OK."""
    answered: dict[int, str] = {}
    texts_of = [f"{number}" for number in range(2_000)]

    async def listen() -> None:
        for text in texts_of:
            reply = await alice.reply()
            if reply["status"] == "OK":
                answered[reply["seq"]] = text
            else:
                assert_unavailable(reply)

    listening = asyncio.create_task(listen())
    for number, text in enumerate(texts_of):
        await alice.send("send", to="alice", text=text)
        if number == 700:
            cluster.kill()
        if number == 1_300:
            cluster.start()
        if number % 20 == 0:
            await asyncio.sleep(0.01)
    await asyncio.wait_for(listening, 60)
    await once_ok(alice, "send", to="alice", text="after")
    kept = {message["seq"]: message["text"] for message in await history(alice.ask, "alice")}
    assert len(answered) >= 600
    assert {seq: kept.get(seq) for seq in answered} == answered
    # What was refused as undone is not there; what was in doubt would have said so.
    assert len(kept) == len(answered) + 2 or "may be on disk" in realm.log


@contextmanager
def locked(cluster: Cluster, url: str, table: str) -> Iterator[None]:
    """Hold a table so that nobody else can even read it."""
    with subprocess.Popen(
        cluster.psql(url.rpartition("/")[2]),
        env=cluster.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(f"BEGIN; LOCK TABLE {table};\n\\echo held\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "held\n"
        yield
        holder.stdin.close()


async def test_a_locked_table_refuses_in_time_and_then_works_again(
    alice: RawClient, realm: RealServer, cluster: Cluster
) -> None:
    with locked(cluster, realm.environment["CHAT_DATABASE"], "messages"):
        begun = time.monotonic()
        assert_unavailable(await alice.say("send", to="alice", text="never"))
        assert_unavailable(await alice.say("history", conversation="alice"))
        assert time.monotonic() - begun < 10
        await alice.ask("ping")
    assert (await once_ok(alice, "send", to="alice", text="after"))["seq"] == 2
    assert texts(await history(alice.ask, "alice")) == ["before", "after"]
    assert "Traceback" not in realm.log


async def test_a_postgresql_that_stands_still_does_not_hold_the_realm(
    alice: RawClient, realm: RealServer, cluster: Cluster
) -> None:
    url = realm.environment["CHAT_DATABASE"]
    found = cluster.sql(url, "SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
    pid = int(found.split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        await alice.send("send", to="alice", text="late")
        reply = await asyncio.wait_for(alice.reply(), 30)
        assert_unavailable(reply)
    finally:
        os.kill(pid, signal.SIGCONT)
    await once_ok(alice, "send", to="alice", text="after")
    assert texts(await history(alice.ask, "alice")) == ["before", "after"]
