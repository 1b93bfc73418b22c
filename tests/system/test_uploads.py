"""Uploads through a real server: resumed, refused, limited (contract, section 6, Files)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.transfers import (
    MIB,
    announced,
    encoded,
    end,
    go_on,
    name,
    noise,
    people,
    received,
    sha256_of,
)

MAX_FILE = 100 * MIB


async def test_20_mb_arrive_whole_over_cuts_crashes_and_sessions(tmp_path: Path) -> None:
    """Contract 6: a broken upload resumes, from any session of the same user; one message."""
    server = RealServer(tmp_path)
    server.start()
    try:
        alice = await RawClient.signed_in(server.url, "alice")
        bob = await RawClient.signed_in(server.url, "bob")
        content = noise(20_000_000)
        what = announced("bob", content)
        begun = await alice.ask("upload", **what)
        assert begun["offset"] == 0
        kept = 0
        for until in (1, 3_000_000, 7_654_321):
            kept = (await go_on(alice, what, content, until))["offset"]
            # Cut in the middle of a chunk: the frame never ends.
            transport = alice.socket.transport
            transport.write(b"\x81\xfe\xff\xff")
            transport.abort()
            alice = await RawClient.signed_in(server.url, "alice", register=False)
            resumed = await alice.ask("upload", **what)
            assert (resumed["upload"], resumed["offset"]) == (begun["upload"], kept)
        # Cut behind a whole chunk, whose reply is not waited for.
        piece = content[kept : kept + begun["chunk"]]
        await alice.send("chunk", upload=begun["upload"], offset=kept, data=encoded(piece))
        alice.socket.transport.abort()
        phone = await RawClient.signed_in(server.url, "alice", register=False)
        offset = (await phone.ask("upload", **what))["offset"]
        assert offset in (kept, kept + len(piece))
        kept = (await go_on(phone, what, content, 12_000_000))["offset"]
        server.kill()
        server.start()
        phone = await RawClient.signed_in(server.url, "alice", register=False)
        bob = await RawClient.signed_in(server.url, "bob", register=False)
        assert (await phone.ask("upload", **what))["offset"] == kept
        done = await go_on(phone, what, content)
        assert (done["seq"], done["file"]["size"]) == (1, len(content))
        assert done["file"]["sha256"] == sha256_of(content)
        message = await bob.event("message")
        assert message["file"] == done["file"]
        # Over 8 MiB: nothing is pushed, it is fetched.
        assert await bob.settled() == []
        await bob.ask("getfile", file=message["file"]["id"])
        assert sha256_of(await received(bob, message["file"])) == sha256_of(content)
        page = await bob.ask("history", conversation="alice")
        assert len(page["messages"]) == 1
        assert list((server.data / "uploads").iterdir()) == []
        await end(phone, bob)
    finally:
        server.kill()


async def test_a_wrong_offset_is_a_conflict_with_the_right_one(server: RealServer) -> None:
    """Contract 6: `conflict` holds the right `offset`, and nothing was taken."""
    alice, bob = await people(server)
    content = noise(300_000)
    what = announced(await name(bob), content)
    opened = await alice.ask("upload", **what)
    for right in (0, 100_000):
        for wrong in (right + 1, 200_000, 2**40, *([0, right - 1] if right else [])):
            reply = await alice.say(
                "chunk", upload=opened["upload"], offset=wrong, data=encoded(b"x" * 100)
            )
            assert (reply["code"], reply["offset"]) == ("conflict", right)
        await alice.ask(
            "chunk",
            upload=opened["upload"],
            offset=right,
            data=encoded(content[right : right + 100_000]),
        )
    assert (await go_on(alice, what, content))["seq"] == 1
    await end(alice, bob)


async def test_a_wrong_sha256_posts_nothing_and_begins_anew(server: RealServer) -> None:
    """Contract 6: the message appears only after the sha256 matched."""
    alice, bob = await people(server)
    content = noise(1_000)
    what = announced(await name(bob), content)
    opened = await alice.ask("upload", **what)
    wrong = encoded(content[:-1] + b"?")
    reply = await alice.say("chunk", upload=opened["upload"], offset=0, data=wrong)
    assert reply["code"] == "bad_arguments"
    assert await bob.settled() == []
    assert (await alice.ask("upload", **what))["offset"] == 0
    assert (await go_on(alice, what, content))["seq"] == 1
    await end(alice, bob)


async def test_more_than_announced_is_too_large(server: RealServer) -> None:
    """Contract 6: what goes beyond the announced size is refused before a byte is taken."""
    alice, bob = await people(server)
    content = noise(1_000)
    what = announced(await name(bob), content)
    opened = await alice.ask("upload", **what)
    more = encoded(content + b"x")
    reply = await alice.say("chunk", upload=opened["upload"], offset=0, data=more)
    assert reply["code"] == "too_large"
    assert (await alice.ask("upload", **what))["offset"] == 0
    await end(alice, bob)


@pytest.mark.parametrize(("size", "code"), [(MAX_FILE, None), (MAX_FILE + 1, "too_large")])
async def test_100_mib_is_the_limit_of_a_file(
    server: RealServer, size: int, code: str | None
) -> None:
    """Contract 6: 100 MiB a file, `too_large` before any byte is taken."""
    alice, bob = await people(server)
    reply = await alice.say("upload", to=await name(bob), name="x", size=size, sha256="0" * 64)
    assert reply.get("code") == code
    await end(alice, bob)


@pytest.mark.parametrize("size", [0, -1, 1.5, "9", 2**63])
async def test_sizes_that_are_none_are_refused(server: RealServer, size: object) -> None:
    """Contract 2: wrong types and numbers out of range are `bad_arguments`."""
    (alice,) = await people(server, 1)
    reply = await alice.say("upload", to=await name(alice), name="x", size=size, sha256="0" * 64)
    assert reply["code"] == "bad_arguments"
    await end(alice)


async def test_uploads_to_nobody_and_of_others_are_refused(server: RealServer) -> None:
    """Contract 3: `unknown_user`, `unknown_group`, `unknown_file` for an upload of others."""
    alice, eve = await people(server)
    content = noise(10)
    assert (await alice.say("upload", **announced("nobody-here", content)))["code"] == (
        "unknown_user"
    )
    group = (await alice.ask("creategroup", name="g"))["group"]
    assert (await eve.say("upload", **announced(group, content)))["code"] == "unknown_group"
    opened = await alice.ask("upload", **announced(group, content))
    for upload in (opened["upload"], "u_none", "..", "../chat.db", "x" * 64):
        reply = await eve.say("chunk", upload=upload, offset=0, data=encoded(content))
        assert reply["code"] in ("unknown_file", "bad_arguments"), upload
    await end(alice, eve)


async def test_one_gib_a_user_counts_what_is_announced(server: RealServer) -> None:
    """Contract 6: 1 GiB a user, `too_large` before any byte is taken; others are not concerned."""
    alice, bob = await people(server)
    to = await name(bob)

    async def announce(client: RawClient, size: int) -> dict[str, Any]:
        return await client.say("upload", to=to, name="x", size=size, sha256=sha256_of(noise(9)))

    for _ in range(10):
        assert (await announce(alice, MAX_FILE))["status"] == "OK"
    assert (await announce(alice, 24 * MIB + 1))["code"] == "too_large"
    assert (await announce(alice, 24 * MIB))["status"] == "OK"
    assert (await announce(alice, 1))["code"] == "too_large"
    reply = await alice.say("sendfile", to=to, name="x", data=encoded(b"x"))
    assert reply["code"] == "too_large"
    assert (await alice.ask("send", to=to, text="texts still go"))["seq"] == 1
    assert (await announce(bob, MAX_FILE))["status"] == "OK"
    await end(alice, bob)


async def test_abandoned_uploads_are_forgotten(tmp_path: Path) -> None:
    """DESIGN: what nobody touched for a day leaves the disk and the quota."""
    server = RealServer(tmp_path)
    server.start()
    try:
        alice = await RawClient.signed_in(server.url, "alice")
        content = noise(400_000)
        what = announced("alice", content)
        for number in range(10):
            await alice.ask("upload", to="alice", name="x", size=MAX_FILE, sha256=f"{number}" * 64)
        await go_on(alice, what, content, 1)
        await alice.close()
        assert server.stop() == 0
        assert len(list((server.data / "uploads").iterdir())) == 1
        with closing(sqlite3.connect(server.data / "chat.db")) as database:
            database.execute("UPDATE uploads SET touched = touched - 24 * 3600 * 1000 - 1000")
            database.commit()
        server.start()
        assert list((server.data / "uploads").iterdir()) == []
        alice = await RawClient.signed_in(server.url, "alice", register=False)
        await alice.ask("upload", to="alice", name="x", size=MAX_FILE, sha256="f" * 64)
        opened = await alice.ask("upload", **what)
        assert opened["offset"] == 0
        assert (await go_on(alice, what, content))["seq"] == 1
        await alice.close()
    finally:
        server.kill()


async def test_a_last_chunk_sent_twice_at_once_posts_once(server: RealServer) -> None:
    """Contract 6: the message appears once, though a cut client sends its last chunk again."""
    alice, bob = await people(server)
    to, me = await name(bob), await name(alice)
    again = await RawClient.signed_in(server.url, me, register=False)
    content = noise(1_000)
    opened = await alice.ask("upload", **announced(to, content))
    # Both are taken before either is written, as another process holds the database.
    with closing(sqlite3.connect(server.data / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        chunk = {"upload": opened["upload"], "offset": 0, "data": encoded(content)}
        await alice.send("chunk", **chunk)
        await again.send("chunk", **chunk)
        await asyncio.sleep(0.3)
        other.execute("ROLLBACK")
    replies = [await alice.reply(), await again.reply()]
    page = await bob.ask("history", conversation=me)
    assert len(page["messages"]) == 1, replies
    assert sorted(reply["status"] for reply in replies) in (["ERROR", "OK"], ["OK", "OK"])
    await end(alice, bob, again)


async def test_a_repeated_key_leaves_no_upload_behind(server: RealServer) -> None:
    """Contract 5: a repeat under a key is a duplicate; it must not eat the quota."""
    alice, bob = await people(server)
    content = noise(1_000)
    what = announced(await name(bob), content) | {"idempotency_key": "key"}
    first = await go_on(alice, what, content)
    second = await go_on(alice, what, content)
    assert second["duplicate"] is True
    assert second["message_id"] == first["message_id"]
    me = await name(alice)
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        (left,) = database.execute(
            "SELECT count(*) FROM uploads JOIN users ON users.id = user_id WHERE users.name = ?",
            (me,),
        ).fetchone()
    assert left == 0
    await end(alice, bob)


async def test_an_upload_resumed_under_another_key_is_sent_under_that_key(
    server: RealServer,
) -> None:
    """Contract 5: the key of the command that is answered is what a repeat is known by."""
    alice, bob = await people(server)
    content = noise(300_000)
    what = announced(await name(bob), content)
    await go_on(alice, what | {"idempotency_key": "old"}, content, 1)
    first = await go_on(alice, what | {"idempotency_key": "new"}, content)
    second = await go_on(alice, what | {"idempotency_key": "new"}, content)
    assert second.get("duplicate") is True
    assert second["message_id"] == first["message_id"]
    await end(alice, bob)
