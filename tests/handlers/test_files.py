"""Rules of files and uploads; section 6 (Files) and the `file` event of the contract."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.world import Person, World

WHOLE = 512 * 1024
MIB = 2**20


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def some(size: int) -> bytes:
    """Return content of a size that does not repeat."""
    return hashlib.shake_128(str(size).encode()).digest(size)


async def content(person: Person, file: str, offset: int = 0) -> bytes:
    """Return what the next `file` events bring, checking that they are of one file in order."""
    got = b""
    last = False
    while not last:
        event = await person.push()
        assert (event["event"], event["file"]) == ("file", file)
        assert event["offset"] == offset + len(got)
        got += base64.b64decode(event["data"], validate=True)
        last = event["last"]
    return got


async def begin(person: Person, whole: bytes, to: str = "bob", **more: Any) -> dict[str, Any]:
    asked = {"to": to, "name": "a.bin", "size": len(whole), "sha256": sha256(whole), **more}
    return await person.ask("upload", **asked)


async def push_rest(person: Person, opened: dict[str, Any], whole: bytes) -> dict[str, Any]:
    """Send all chunks from where an upload stands and return the last reply."""
    offset, reply = opened["offset"], {}
    while offset < len(whole):
        data = encoded(whole[offset : offset + opened["chunk"]])
        reply = await person.ask("chunk", upload=opened["upload"], offset=offset, data=data)
        offset = reply["offset"]
    return reply


async def take_chunk(person: Person, opened: dict[str, Any], offset: int, data: bytes) -> Any:
    asked = {"upload": opened["upload"], "offset": offset, "data": encoded(data)}
    return await person.ask("chunk", **asked)


# In one frame


async def test_the_content_follows_its_message_to_all_but_the_sending_session(
    world: World,
) -> None:
    alice, alice2, bob, carol = await world.log_in("alice", "alice", "bob", "carol")
    whole = some(200_001)
    sent = await alice.ask("sendfile", to="bob", name="a.png", data=encoded(whole))
    file = sent["file"]
    assert (file["name"], file["size"], file["type"]) == ("a.png", len(whole), "image/png")
    assert file["sha256"] == sha256(whole)
    for person in (bob, alice2):
        message = await person.push()
        assert (message["event"], message["text"]) == ("message", "")
        assert (message["file"], message["id"]) == (file, sent["message_id"])
        assert await content(person, file["id"]) == whole
    assert await alice.pushes() == await carol.pushes() == []


async def test_a_file_takes_a_place_in_the_conversation(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await alice.ask("send", to="bob", text="one")
    sent = await alice.ask("sendfile", to="bob", name="a.txt", data="aGk=")
    await alice.ask("send", to="bob", text="three")
    found = (await bob.ask("inbox", user="alice"))["messages"]
    assert [message["text"] for message in found] == ["one", "", "three"]
    assert [message.get("file") for message in found] == [None, sent["file"], None]


async def test_one_frame_carries_up_to_512_kib(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.ask("files", mode="offer")
    sent = await alice.ask("sendfile", to="bob", name="a", data=encoded(some(WHOLE)))
    assert sent["file"]["size"] == WHOLE
    more = {"name": "a", "data": encoded(some(WHOLE + 1))}
    assert await alice.refused("sendfile", to="bob", **more) == "too_large"
    assert len(await bob.pushes()) == 1


async def test_data_must_be_base64_of_something(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    for data in ("", "a", "aGkxx", "a!k=", "aGk=a", "aGk==", None, 5):
        wrong = {"to": "bob", "name": "a", "data": data}
        assert await alice.refused("sendfile", **wrong) == "bad_arguments"
    assert await alice.refused("sendfile", to="bob", name="a") == "bad_arguments"


@pytest.mark.parametrize(
    "name, kept",
    [
        ("/home/me/a.png", "a.png"),
        ("..\\..\\a.png", "a.png"),
        ("a\x00.png", ""),
        ("a\x1b\n\u202egpj.exe", "agpj.exe"),
        ("..", ""),
        ("/", ""),
        ("é" * 127 + "x", "é" * 127 + "x"),
        ("é" * 128, ""),
    ],
)
async def test_names_are_stripped_of_paths_and_what_deceives(
    world: World, name: str, kept: str
) -> None:
    alice, _ = await world.log_in("alice", "bob")
    if kept:
        sent = await alice.ask("sendfile", to="bob", name=name, data="aGk=")
        assert sent["file"]["name"] == kept
    else:
        asked = {"to": "bob", "name": name, "data": "aGk="}
        assert await alice.refused("sendfile", **asked) == "bad_arguments"


# Fetching


async def test_getfile_sends_from_an_offset_to_whoever_sees_the_message(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    await bob.ask("files", mode="offer")
    whole = some(200_001)
    sent = await alice.ask("sendfile", to="bob", name="a", data=encoded(whole))
    file = sent["file"]["id"]
    assert [push["event"] for push in await bob.pushes()] == ["message"]
    for person in (alice, bob):
        for offset in (0, 1, 49_152, 200_000):
            reply = await person.ask("getfile", file=file, offset=offset)
            assert reply["file"] == sent["file"]
            assert await content(person, file, offset) == whole[offset:]
    beyond = await bob.say(f'{{"command":"getfile","file":"{file}","offset":200001}}')
    assert (beyond["code"], beyond["offset"]) == ("conflict", 200_001)
    assert await carol.refused("getfile", file=file) == "unknown_file"
    assert await bob.refused("getfile", file="f_nonsense") == "unknown_file"


async def test_files_of_a_group_are_for_its_members_of_now(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    sent = await alice.ask("sendgroupfile", group=group, name="a", data="aGk=")
    file = sent["file"]["id"]
    assert await carol.refused("getfile", file=file) == "unknown_file"
    await alice.ask("invitegroup", group=group, user="carol")
    await carol.pushes()
    await carol.ask("getfile", file=file)
    assert await content(carol, file) == b"hi"
    await alice.ask("kick", group=group, user="bob")
    assert await bob.refused("getfile", file=file) == "unknown_file"


# Uploads


async def test_the_message_appears_once_after_the_last_chunk(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    whole = some(500_000)
    opened = await begin(alice, whole)
    assert opened["offset"] == 0
    step = opened["chunk"]
    reply = await take_chunk(alice, opened, 0, whole[:step])
    assert set(reply) == {"status", "command", "message", "offset"}
    assert reply["offset"] == step
    assert await bob.pushes() == []
    opened["offset"] = step
    last = await push_rest(alice, opened, whole)
    assert (last["offset"], last["state"], last["seq"]) == (len(whole), "stored", 1)
    message = await bob.push()
    assert (message["id"], message["file"]) == (last["message_id"], last["file"])
    assert await content(bob, last["file"]["id"]) == whole
    assert await alice.refused("chunk", upload=opened["upload"], offset=0, data="aA==") == (
        "unknown_file"
    )


async def test_a_broken_upload_goes_on_from_any_session_of_the_user(world: World) -> None:
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole)
    await take_chunk(alice, opened, 0, whole[:400])
    alice.leave()
    for to in ("bob", "BOB", "bob@alpha"):
        again = await begin(alice2, whole, to=to)
        assert (again["upload"], again["offset"]) == (opened["upload"], 400)
    await push_rest(alice2, again, whole)
    assert (await bob.push())["file"]["sha256"] == sha256(whole)
    assert await content(bob, (await last_file(bob))["id"]) == whole


async def last_file(person: Person) -> dict[str, Any]:
    page = await person.ask("history", conversation="alice", limit=1)
    return dict(page["messages"][0]["file"])


async def test_an_upload_goes_on_after_a_restart(world: World, tmp_path: Any) -> None:
    alice, _ = await world.log_in("alice", "bob")
    whole = some(1_000)
    await take_chunk(alice, await begin(alice, whole), 0, whole[:400])
    await world.__aexit__()
    async with World(tmp_path) as later:
        alice, bob = await later.log_in("alice", "bob")
        await bob.ask("files", mode="offer")
        again = await begin(alice, whole)
        assert again["offset"] == 400
        assert (await push_rest(alice, again, whole))["seq"] == 1
        assert len(await bob.pushes()) == 1
    await world.__aenter__()


async def test_uploads_of_others_and_to_others_are_apart(world: World) -> None:
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    whole = some(1_000)
    opened = await begin(alice, whole)
    await take_chunk(alice, opened, 0, whole[:400])
    assert (await begin(alice, whole, to="carol"))["offset"] == 0
    assert (await begin(carol, whole))["offset"] == 0
    asked = {"upload": opened["upload"], "offset": 400, "data": encoded(whole[400:])}
    assert await carol.refused("chunk", **asked) == "unknown_file"


async def test_a_wrong_offset_is_answered_with_the_right_one(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole)
    await take_chunk(alice, opened, 0, whole[:400])
    for offset in (0, 399, 401, 1_000, 2**53 - 1):
        frame = (
            f'{{"command":"chunk","upload":"{opened["upload"]}","offset":{offset},"data":"aA=="}}'
        )
        reply = await alice.say(frame)
        assert (reply["code"], reply["offset"]) == ("conflict", 400)
    assert (await push_rest(alice, {**opened, "offset": 400}, whole))["seq"] == 1


async def test_more_than_announced_is_refused_and_changes_nothing(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole)
    asked = {"upload": opened["upload"], "offset": 0, "data": encoded(whole + b"x")}
    assert await alice.refused("chunk", **asked) == "too_large"
    assert await bob.pushes() == []
    assert (await push_rest(alice, opened, whole))["seq"] == 1


async def test_a_content_without_its_hash_becomes_no_message(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    whole = some(1_000)
    opened = await begin(alice, whole)
    asked = {"upload": opened["upload"], "offset": 0, "data": encoded(b"x" * 1_000)}
    assert await alice.refused("chunk", **asked) == "bad_arguments"
    assert await bob.pushes() == []
    again = await begin(alice, whole)
    assert again["offset"] == 0
    assert (await push_rest(alice, again, whole))["seq"] == 1


async def test_what_is_too_large_is_refused_before_any_byte(world: World) -> None:
    alice, _ = await world.log_in("alice", "bob")
    asked = {"to": "bob", "name": "a"}
    over = {**asked, "size": 100 * MIB + 1, "sha256": "0" * 64}
    assert await alice.refused("upload", **over) == "too_large"
    for number in range(10):
        await alice.ask("upload", **asked, size=100 * MIB, sha256=f"{number:064}")
    # 1,000 of 1,024 MiB are spoken for.
    assert await alice.refused("upload", **asked, size=24 * MIB + 1, sha256="a" * 64) == "too_large"
    await alice.ask("upload", **asked, size=24 * MIB, sha256="b" * 64)
    assert await alice.refused("sendfile", **asked, data="aGk=") == "too_large"


@pytest.mark.slow
async def test_up_to_8_mib_are_pushed_and_more_is_left_to_getfile(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for size, pushed in ((8 * MIB, True), (8 * MIB + 1, False)):
        whole = some(size)
        sent = await push_rest(alice, await begin(alice, whole), whole)
        assert (await bob.push())["id"] == sent["message_id"]
        if not pushed:
            assert await bob.pushes() == []
            await bob.ask("getfile", file=sent["file"]["id"])
        assert await content(bob, sent["file"]["id"]) == whole


async def test_an_upload_to_a_group_one_has_left_becomes_no_message(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    whole = some(1_000)
    opened = await begin(bob, whole, to=group)
    await bob.ask("leavegroup", group=group)
    await alice.pushes()
    asked = {"upload": opened["upload"], "offset": 0, "data": encoded(whole)}
    assert await bob.refused("chunk", **asked) == "unknown_group"
    assert await alice.pushes() == []


async def test_an_upload_to_nobody_is_refused(world: World) -> None:
    (alice,) = await world.log_in("alice")
    asked = {"name": "a", "size": 1, "sha256": "0" * 64}
    assert await alice.refused("upload", to="nobody", **asked) == "unknown_user"
    assert await alice.refused("upload", to="#7", **asked) == "unknown_group"
    for size in (0, -1, "5", 1.0):
        wrong = {**asked, "size": size}
        assert await alice.refused("upload", to="alice", **wrong) == "bad_arguments"


async def test_two_sessions_that_send_the_same_chunk_send_it_once(world: World) -> None:
    alice, alice2, bob = await world.log_in("alice", "alice", "bob")
    await bob.ask("files", mode="offer")
    whole = some(1_000)
    opened = await begin(alice, whole)
    data = encoded(whole)
    for person in (alice, alice2):
        person.send(
            f'{{"command":"chunk","upload":"{opened["upload"]}","offset":0,"data":"{data}"}}'
        )
    replies = [await alice.reply(), await alice2.reply()]
    assert sorted(reply["status"] for reply in replies) == ["ERROR", "OK"], replies
    assert len(await bob.pushes()) == 1
