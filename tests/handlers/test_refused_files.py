"""What a file that is refused, repeated or no longer wanted once left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, select

from tests.handlers.test_files import begin, content, encoded, push_rest, some
from tests.world import World
from ws_server.store.schema import messages

MIB = 2**20


def stored(folder: Path) -> list[str]:
    """Return what lies in the folders of contents and uploads."""
    found = [path for part in ("blobs", "uploads") for path in (folder / part).rglob("*")]
    return sorted(path.name for path in found if path.is_file())


@pytest.mark.parametrize(
    ("command", "to", "code"),
    [
        ("sendfile", {"to": "nobody"}, "unknown_user"),
        ("sendgroupfile", {"group": "#7"}, "unknown_group"),
        ("sendgroupfile", {"group": "#1"}, "unknown_group"),
    ],
)
async def test_a_file_to_nobody_stayed_on_the_disk(
    world: World, tmp_path: Path, command: str, to: dict[str, str], code: str
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    assert (await bob.ask("creategroup", name="others"))["group"] == "#1"
    refused = await alice.refused(command, **to, name="a", data=encoded(some(1_000)))
    assert refused == code
    assert stored(tmp_path) == []


async def test_a_file_over_the_quota_stayed_on_the_disk(tmp_path: Path) -> None:
    async with World(tmp_path, max_user_files=1) as world:
        alice, bob = await world.log_in("alice", "bob")
        for size in (MIB // 2, MIB // 2 - 10):
            await alice.ask("sendfile", to="bob", name="a", data=encoded(some(size)))
        before = stored(tmp_path)
        full = {"to": "bob", "name": "a", "data": encoded(some(11))}
        assert await alice.refused("sendfile", **full) == "too_large"
        assert stored(tmp_path) == before
        assert (await bob.ask("sendfile", to="alice", name="a", data=full["data"]))["seq"] == 3


@pytest.mark.parametrize("command", ["sendfile", "send"])
async def test_other_content_under_a_repeated_key_stayed_on_the_disk(
    world: World, tmp_path: Path, command: str
) -> None:
    alice, _ = await world.log_in("alice", "bob")
    first: dict[str, Any] = {"name": "a", "data": encoded(some(1_000))}
    if command == "send":
        first = {"text": "hi"}
    sent = await alice.ask(command, to="bob", idempotency_key="k", **first)
    before = stored(tmp_path)
    other = {"to": "bob", "name": "b", "data": encoded(some(2_000)), "idempotency_key": "k"}
    again = await alice.ask("sendfile", **other)
    assert (again["duplicate"], again["message_id"]) == (True, sent["message_id"])
    assert stored(tmp_path) == before


async def test_an_upload_repeated_with_another_key_was_sent_under_the_first(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole, idempotency_key="old")
    again = await begin(alice, whole, idempotency_key="new")
    assert again["upload"] != opened["upload"] and again["offset"] == 0
    await push_rest(alice, again, whole)

    def keys(tx: Connection) -> list[str | None]:
        return list(tx.scalars(select(messages.c.idempotency_key)))

    assert await world.realm.database.read(keys) == ["new"]
    # The first key is free, the second is taken.
    repeated = await alice.ask("send", to="bob", text="x", idempotency_key="new")
    assert repeated["duplicate"] is True
    assert "duplicate" not in await alice.ask("send", to="bob", text="x", idempotency_key="old")


async def test_a_file_went_on_to_whoever_signed_in_next_on_the_connection(world: World) -> None:
    alice, bob, eve = await world.log_in("alice", "bob", "eve")
    whole = some(3 * MIB)
    await bob.ask("files", mode="offer")
    sent = await push_rest(alice, await begin(alice, whole), whole)
    file = sent["file"]["id"]
    await bob.pushes()
    # The peer takes no more before somebody else signs in.
    taken = asyncio.Event()

    async def room() -> None:
        await taken.wait()

    bob.room = room  # type: ignore[method-assign]
    bob.send(orjson.dumps({"command": "getfile", "file": file}))
    assert (await bob.reply())["status"] == "OK"
    signed_in = await bob.ask("resume", token=eve.token)
    assert signed_in["user"] == "eve"
    taken.set()
    for _ in range(5):
        # As long as the next piece would take.
        await world.realm.blobs.run(len, b"")
        assert await bob.pushes() == []
    # The lane works for whoever is there now.
    await bob.ask("files", mode="push")
    await alice.ask("sendfile", to="eve", name="b", data=encoded(some(10)))
    message = await bob.push()
    assert await content(bob, message["file"]["id"]) == some(10)
