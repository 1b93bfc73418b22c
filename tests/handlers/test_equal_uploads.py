"""Rules of uploads of equal content: what broke goes on, and what is being sent stays its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.handlers.test_files import begin, content, encoded, push_rest, sha256, some, take_chunk
from tests.world import Person, World
from ws_server import active_uploads
from ws_server.housekeeping import sweep

WHOLE = some(1_000)


async def files_of(person: Person, conversation: str = "alice") -> list[str]:
    page = await person.ask("history", conversation=conversation)
    return [message["file"]["name"] for message in page["messages"]]


def blobs(folder: Path) -> list[str]:
    return [path.name for path in (folder / "blobs").glob("*/*")]


def parts(folder: Path) -> list[str]:
    return os.listdir(folder / "uploads")


@pytest.mark.parametrize("keyed", [True, False], ids=["with keys", "without keys"])
@pytest.mark.parametrize("sessions", [1, 2], ids=["one session", "two sessions"])
async def test_one_content_sent_twice_at_once_arrives_under_both_names(
    world: World, tmp_path: Path, sessions: int, keyed: bool
) -> None:
    """Two tabs, or a program that sends three files at once: each is its own."""
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    await bob.ask("files", mode="offer")
    senders = [alice, alice2 if sessions == 2 else alice, alice]
    names = ["one.txt", "two.txt", "three.txt"]
    keys = [{"idempotency_key": name} if keyed else {} for name in names]
    opened = [
        await begin(sender, WHOLE, name=name, **key)
        for sender, name, key in zip(senders, names, keys, strict=True)
    ]
    assert len({o["upload"] for o in opened}) == 3
    assert [o["offset"] for o in opened] == [0, 0, 0]
    for at in (0, 500):
        sent = [
            await take_chunk(sender, o, at, WHOLE[at : at + 500])
            for sender, o in zip(senders, opened, strict=True)
        ]
    assert [s["file"]["name"] for s in sent] == names
    assert len({s["message_id"] for s in sent}) == 3
    assert [s["seq"] for s in sent] == [1, 2, 3]
    assert await files_of(bob) == names
    assert (blobs(tmp_path), parts(tmp_path)) == ([sha256(WHOLE)], [])
    if keyed:
        for sender, name, key, first in zip(senders, names, keys, sent, strict=True):
            again = await push_rest(sender, await begin(sender, WHOLE, name=name, **key), WHOLE)
            assert (again["duplicate"], again["message_id"]) == (True, first["message_id"])
        assert await files_of(bob) == names


async def test_one_content_goes_to_two_people_at_once(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    opened = [await begin(alice, WHOLE, to=to) for to in ("bob", "carol")]
    for o in opened:
        await take_chunk(alice, o, 0, WHOLE[:300])
    for o in reversed(opened):
        await take_chunk(alice, o, 300, WHOLE[300:])
    assert await files_of(bob) == await files_of(carol) == ["a.bin"]


async def test_a_file_sent_again_on_purpose_is_another_message(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for key in ({}, {}, {"idempotency_key": "k"}):
        await push_rest(alice, await begin(alice, WHOLE, **key), WHOLE)
    await alice.ask("sendfile", to="bob", name="a.bin", data=encoded(WHOLE))
    assert await files_of(bob) == ["a.bin"] * 4


async def test_a_whole_file_beside_an_upload_of_the_same_content(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    opened = await begin(alice, WHOLE, name="slow.bin")
    await take_chunk(alice, opened, 0, WHOLE[:300])
    await alice.ask("sendfile", to="bob", name="quick.bin", data=encoded(WHOLE))
    sent = await take_chunk(alice, opened, 300, WHOLE[300:])
    assert sent["file"]["name"] == "slow.bin"
    assert await files_of(bob) == ["quick.bin", "slow.bin"]


@pytest.mark.parametrize("how", ["connection lost", "silent", "restart"])
async def test_a_broken_upload_goes_on_under_another_name_and_key(
    world: World, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends the file again from another program, renamed, need not send what is here."""
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    await bob.ask("files", mode="offer")
    first = await begin(alice, WHOLE, name="old.bin", idempotency_key="old")
    await take_chunk(alice, first, 0, WHOLE[:400])
    if how == "connection lost":
        alice.leave()
    elif how == "silent":
        monkeypatch.setattr(active_uploads, "PATIENCE", 0.0)
    else:
        await world.__aexit__()
        world = await World(tmp_path).__aenter__()
        alice2, bob = await world.log_in("alice", "bob")
    again = await begin(alice2, WHOLE, name="new.bin", idempotency_key="new", bot=True)
    assert again["offset"] == 400
    # It is the new one's alone: whoever began it has no part in what it becomes.
    late = {"upload": first["upload"], "offset": 400, "data": encoded(WHOLE[400:])}
    assert await alice2.refused("chunk", **late) == "unknown_file"
    sent = await push_rest(alice2, again, WHOLE)
    assert (sent["file"]["name"], sent.get("duplicate")) == ("new.bin", None)
    (message,) = (await bob.ask("history", conversation="alice"))["messages"]
    assert (message["file"]["name"], message["bot"]) == ("new.bin", True)
    assert parts(tmp_path) == []
    if how == "restart":
        await world.__aexit__()


async def test_each_of_two_that_broke_together_goes_on_as_its_own(world: World) -> None:
    """Both come back in another order than they began."""
    alice, bob = await world.log_in("alice", "bob")
    for key, size in (("one", 300), ("two", 600)):
        opened = await begin(alice, WHOLE, name=key, idempotency_key=key)
        await take_chunk(alice, opened, 0, WHOLE[:size])
    alice.leave()
    (alice,) = await world.log_in("alice")
    for key, size in (("two", 600), ("one", 300)):
        again = await begin(alice, WHOLE, name=key, idempotency_key=key)
        assert again["offset"] == size
        assert (await push_rest(alice, again, WHOLE))["file"]["name"] == key
    assert await files_of(bob) == ["two", "one"]


async def test_a_new_upload_takes_what_broke_and_leaves_what_is_sent(world: World) -> None:
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    broken = await begin(alice, WHOLE, name="broken", idempotency_key="broken")
    await take_chunk(alice, broken, 0, WHOLE[:700])
    alice.leave()
    (alice,) = await world.log_in("alice")
    first = await begin(alice, WHOLE, name="first", idempotency_key="first")
    second = await begin(alice2, WHOLE, name="second", idempotency_key="second")
    assert (first["offset"], second["offset"]) == (700, 0)
    await push_rest(alice2, second, WHOLE)
    await push_rest(alice, first, WHOLE)
    assert await files_of(bob) == ["second", "first"]


async def test_opened_at_once_only_one_takes_what_broke(world: World) -> None:
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    await take_chunk(alice, await begin(alice, WHOLE, name="broken"), 0, WHOLE[:700])
    alice.leave()
    (alice,) = await world.log_in("alice")
    asked = {"to": "bob", "size": len(WHOLE), "sha256": sha256(WHOLE)}
    for person, name in ((alice, "one"), (alice2, "two"), (alice, "three"), (alice2, "four")):
        person.send(orjson.dumps({"command": "upload", "name": name, **asked}))
    opened = [await person.reply() for person in (alice, alice2, alice, alice2)]
    assert sorted(o["offset"] for o in opened) == [0, 0, 0, 700]
    assert len({o["upload"] for o in opened}) == 4
    for person, o in zip((alice, alice2, alice, alice2), opened, strict=True):
        await push_rest(person, o, WHOLE)
    assert await files_of(bob) == ["one", "two", "three", "four"]


async def test_two_sessions_that_resume_one_upload_share_it(world: World) -> None:
    """The same key is the same exchange: one message, whoever sends its last piece."""
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    key = {"idempotency_key": "k"}
    opened = await begin(alice, WHOLE, **key)
    await take_chunk(alice, opened, 0, WHOLE[:300])
    again = await begin(alice2, WHOLE, **key)
    assert (again["upload"], again["offset"]) == (opened["upload"], 300)
    await take_chunk(alice2, again, 300, WHOLE[300:600])
    asked = {"upload": opened["upload"], "offset": 300, "data": encoded(WHOLE[300:])}
    conflict = await alice.say(orjson.dumps({"command": "chunk", **asked}))
    assert (conflict["code"], conflict["offset"]) == ("conflict", 600)
    first = await take_chunk(alice, opened, 600, WHOLE[600:])
    late = {"upload": again["upload"], "offset": 600, "data": encoded(WHOLE[600:])}
    assert await alice2.refused("chunk", **late) == "unknown_file"
    same = await push_rest(alice2, await begin(alice2, WHOLE, **key), WHOLE)
    assert (same["message_id"], same["duplicate"]) == (first["message_id"], True)
    assert await files_of(bob) == ["a.bin"]


async def test_a_repeat_under_a_used_key_leaves_alone_what_broke(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await push_rest(alice, await begin(alice, WHOLE, idempotency_key="done"), WHOLE)
    await take_chunk(
        alice, await begin(alice, WHOLE, name="b", idempotency_key="broken"), 0, WHOLE[:400]
    )
    alice.leave()
    (alice,) = await world.log_in("alice")
    again = await begin(alice, WHOLE, idempotency_key="done")
    assert again["offset"] == 0
    assert (await push_rest(alice, again, WHOLE))["duplicate"] is True
    assert (await begin(alice, WHOLE, name="b", idempotency_key="broken"))["offset"] == 400
    # The repeats stored nothing of their own.
    assert world.realm.stray_bytes == {}


async def test_every_upload_counts_for_the_quota_and_none_twice(tmp_path: Path) -> None:
    async with World(tmp_path, max_user_files=1) as world:  # MiB
        alice, bob = await world.log_in("alice", "bob")
        whole = some(400_000)
        one = await begin(alice, whole, name="one")
        await begin(alice, whole, name="two")
        three = {"to": "bob", "name": "three", "size": len(whole), "sha256": sha256(whole)}
        assert await alice.refused("upload", **three) == "too_large"
        await push_rest(alice, one, whole)
        assert await alice.refused("upload", **three) == "too_large"
        alice.leave()
        (alice,) = await world.log_in("alice")
        # What broke goes on under this name, so nothing more is taken.
        await push_rest(alice, await begin(alice, whole, name="three"), whole)
        assert await files_of(bob) == ["one", "three"]


async def test_the_sweep_leaves_a_content_whose_second_upload_is_ending(
    world: World, tmp_path: Path
) -> None:
    """The first message of the content was refused, so nothing refers to its old blob."""
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("files", mode="offer")
    world.realm.blobs.put(WHOLE)
    blob = world.realm.blobs.path(sha256(WHOLE))
    os.utime(blob, (1, 1))
    opened = await begin(alice, WHOLE)
    await take_chunk(alice, opened, 0, WHOLE[:999])
    ending = asyncio.create_task(take_chunk(alice, opened, 999, WHOLE[999:]))
    await asyncio.gather(ending, *(sweep(world.realm, age=3600) for _ in range(5)))
    await sweep(world.realm, age=3600)
    sent = ending.result()
    await bob.push()
    await bob.ask("getfile", file=sent["file"]["id"])
    assert await content(bob, sent["file"]["id"]) == WHOLE


async def test_an_upload_of_another_size_is_another_one(world: World) -> None:
    """A size announced by mistake does not keep the right one out for a day."""
    alice, _ = await world.log_in("alice", "bob")
    wrong: dict[str, Any] = {"to": "bob", "name": "a.bin", "sha256": sha256(WHOLE)}
    await alice.ask("upload", size=999, **wrong)
    assert (await push_rest(alice, await begin(alice, WHOLE), WHOLE))["seq"] == 1
