"""Files through a real server: resumed, refused, pushed, fetched (contract, section 6, Files)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.rawclient import RawClient
from tests.realserver import RealServer

KIB, MIB = 2**10, 2**20
WHOLE = 512 * KIB
PUSHED = 8 * MIB
MAX_FILE = 100 * MIB
NUMBERS = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server for all tests that do not stop theirs; each has people of its own."""
    server = RealServer(tmp_path_factory.mktemp("files"))
    server.start()
    yield server
    server.kill()


async def people(server: RealServer, how_many: int = 2) -> list[RawClient]:
    """Sign in new people; `name(client)` is what they are called."""
    return [
        await RawClient.signed_in(server.url, f"person{next(NUMBERS)}") for _ in range(how_many)
    ]


async def name(client: RawClient) -> str:
    return str((await client.ask("whoami"))["user"])


def noise(size: int) -> bytes:
    """Return content that no other call returns."""
    return random.Random(next(NUMBERS)).randbytes(size)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def announced(to: str, content: bytes, file_name: str = "x.bin") -> dict[str, Any]:
    """Return the arguments that announce this content."""
    return {
        "to": to,
        "name": file_name,
        "size": len(content),
        "sha256": sha256_of(content),
    }


async def go_on(
    client: RawClient, what: dict[str, Any], content: bytes, until: int | None = None
) -> dict[str, Any]:
    """Begin or resume an upload, send chunks up to `until`, and return the last reply."""
    opened = reply = await client.ask("upload", **what)
    offset = opened["offset"]
    while offset < (len(content) if until is None else until):
        piece = content[offset : offset + opened["chunk"]]
        reply = await client.ask(
            "chunk", upload=opened["upload"], offset=offset, data=encoded(piece)
        )
        offset += len(piece)
        assert reply["offset"] == offset
    return reply


async def received(client: RawClient, file: dict[str, Any], offset: int = 0) -> bytes:
    """Collect a file's pieces; they follow each other, and only the last says so."""
    content = b""
    while True:
        piece = await client.event("file")
        assert (piece["file"], piece["offset"]) == (file["id"], offset + len(content))
        content += base64.b64decode(piece["data"])
        assert piece["last"] == (offset + len(content) == file["size"])
        if piece["last"]:
            return content


async def end(*clients: RawClient) -> None:
    for client in clients:
        await client.close()


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


async def test_512_kib_fit_one_frame_and_one_byte_more_does_not(server: RealServer) -> None:
    """Contract 6: `sendfile` is a whole file in one frame, up to 512 KiB of content."""
    alice, bob = await people(server)
    to = await name(bob)
    content = noise(WHOLE)
    sent = await alice.ask("sendfile", to=to, name="whole", data=encoded(content))
    assert (sent["file"]["size"], sent["file"]["sha256"]) == (WHOLE, sha256_of(content))
    message = await bob.event("message")
    assert (message["text"], message["file"]) == ("", sent["file"])
    assert await received(bob, message["file"]) == content
    for size in (WHOLE + 1, WHOLE + 3, 700 * KIB):
        reply = await alice.say("sendfile", to=to, name="more", data=encoded(noise(size)))
        assert reply["code"] == "too_large"
    assert (await alice.ask("send", to=to, text="next"))["seq"] == 2
    await end(alice, bob)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/home/me/photo.png", "photo.png"),
        ("..\\..\\photo.png", "photo.png"),
        ("../../../etc/passwd", "passwd"),
        ("a\x1b[2Jb\r\n.txt", "a[2Jb.txt"),
        ("cv\u202egpj.exe", "cvgpj.exe"),
        ("ünïcödé 你好.txt", "ünïcödé 你好.txt"),
        ("x" * 255, "x" * 255),
        ("x" * 256, None),
        ("你" * 86, None),
        ("..", None),
        ("/", None),
        ("", None),
        ("\u202e", None),
        ("a\x00b", None),
    ],
)
async def test_file_names_lose_paths_and_what_steers_terminals(
    server: RealServer, given: str, shown: str | None
) -> None:
    """Contract 5: up to 255 bytes, stripped of paths, control and bidirectional characters."""
    alice, bob = await people(server)
    to = await name(bob)
    content = noise(10)
    one = await alice.say("sendfile", to=to, name=given, data=encoded(content))
    two = await alice.say("upload", **announced(to, content, given))
    if shown is None:
        assert (one.get("code"), two.get("code")) == ("bad_arguments", "bad_arguments")
    else:
        assert one["file"]["name"] == shown
        assert (await bob.event("message"))["file"]["name"] == shown
        assert (await go_on(alice, announced(to, content, given), content))["file"]["name"] == shown
    await end(alice, bob)


@pytest.mark.parametrize(
    "data",
    ["not base64!", "eA", "eA=", "eA==eA==", "e A=", "_-_-", "eA==\n", "é", 5, None, ["eA=="]],
)
async def test_what_is_no_base64_is_refused(server: RealServer, data: object) -> None:
    """Contract 2: wrong values are `bad_arguments`; nothing is stored."""
    alice, bob = await people(server)
    to = await name(bob)
    reply = await alice.say("sendfile", to=to, name="x", data=data)
    assert reply["code"] == "bad_arguments", reply
    opened = await alice.ask("upload", **announced(to, b"xyz"))
    reply = await alice.say("chunk", upload=opened["upload"], offset=0, data=data)
    assert reply["code"] == "bad_arguments", reply
    assert await bob.settled() == []
    await end(alice, bob)


async def test_a_path_without_content_is_never_opened(server: RealServer) -> None:
    """Contract 6: the server opens no path a client names, and says so."""
    alice, bob = await people(server)
    await alice.socket.send(f"sendfile {await name(bob)} /etc/passwd")
    said = str(await alice.socket.recv())
    assert said.startswith("ERROR bad_arguments")
    assert "path" in said
    assert "root:" not in said
    await end(alice, bob)


async def test_equal_content_is_stored_once(server: RealServer) -> None:
    """DESIGN: contents are named by their hash; each message has a file of its own."""
    alice, bob = await people(server)
    content = noise(200_000)
    to = await name(bob)
    ids = set()
    for number in range(3):
        sent = await alice.ask("sendfile", to=to, name=f"{number}", data=encoded(content))
        ids.add(sent["file"]["id"])
    ids.add((await go_on(bob, announced(await name(alice), content), content))["file"]["id"])
    assert len(ids) == 4
    blobs = [path.name for path in (server.data / "blobs").glob("*/*")]
    assert blobs.count(sha256_of(content)) == 1
    await end(alice, bob)


async def test_getfile_is_for_members_only_and_goes_on_at_an_offset(server: RealServer) -> None:
    """Contract 3 and 6: `unknown_file` for a file one may not see, as for one there is none."""
    alice, bob, eve = await people(server, 3)
    await bob.ask("files", mode="offer")
    group = (await alice.ask("creategroup", name="g"))["group"]
    await alice.ask("invitegroup", group=group, user=await name(bob))
    content = noise(200_000)
    sent = await alice.ask("sendgroupfile", group=group, name="x", data=encoded(content))
    file = sent["file"]
    for offset in (0, 1, 100_000, len(content) - 1):
        assert (await bob.ask("getfile", file=file["id"], offset=offset))["file"] == file
        assert await received(bob, file, offset) == content[offset:]
    assert (await bob.say("getfile", file=file["id"], offset=-1))["code"] == "bad_arguments"
    beyond = await bob.say("getfile", file=file["id"], offset=len(content))
    assert (beyond["code"], beyond["offset"]) == ("conflict", len(content))
    hidden = await eve.say("getfile", file=file["id"])
    missing = await eve.say("getfile", file="f_none")
    assert (hidden["code"], missing["code"]) == ("unknown_file", "unknown_file")
    assert hidden["message"] == missing["message"]
    # A new member sees all history, its files included; one who left sees none.
    await alice.ask("invitegroup", group=group, user=await name(eve))
    await eve.ask("getfile", file=file["id"])
    assert await received(eve, file) == content
    await eve.ask("leavegroup", group=group)
    assert (await eve.say("getfile", file=file["id"]))["code"] == "unknown_file"
    await end(alice, bob, eve)


async def test_files_are_pushed_behind_their_message_where_they_are_wanted(
    server: RealServer,
) -> None:
    """Contract 7: up to 8 MiB on sessions in `files push`; offer sessions get none."""
    alice, bob = await people(server)
    to = await name(bob)
    phone = await RawClient.signed_in(server.url, to, register=False)
    await phone.ask("files", mode="offer")
    mine = await RawClient.signed_in(server.url, await name(alice), register=False)
    content = noise(PUSHED)
    done = await go_on(alice, announced(to, content), content)
    for client in (bob, mine):
        message = await client.event()
        assert (message["event"], message["file"]) == ("message", done["file"])
        assert await received(client, done["file"]) == content
    events = await phone.settled()
    assert [event["event"] for event in events] == ["message"]
    # The session that sent it has it.
    assert await alice.settled() == []
    larger = content + b"x"
    await go_on(alice, announced(to, larger), larger)
    assert [event["event"] for event in await bob.settled()] == ["message"]
    await end(alice, bob, phone, mine)


async def test_a_text_overtakes_a_large_file(server: RealServer) -> None:
    """DESIGN: files have a lane of their own; a text waits for no file on its way."""
    alice, bob = await people(server)
    to = await name(bob)
    await bob.close()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
    sock.connect(("127.0.0.1", server.port))
    sock.setblocking(False)
    slow = RawClient(
        await connect(
            server.url, sock=sock, proxy=None, compression=None, max_size=None, max_queue=1
        )
    )
    await slow.ask("auth", user=to, password=f"secret-{to}")
    content = noise(PUSHED)
    await go_on(alice, announced(to, content), content)
    assert (await slow.event("message"))["file"]["size"] == PUSHED
    pieces = 0
    text_at = None
    last = False
    while not last:
        frame = await slow.frame()
        if frame["event"] == "message":
            assert frame["text"] == "quick"
            text_at = pieces
            continue
        pieces += 1
        last = frame["last"]
        if pieces == 10:
            await alice.ask("send", to=to, text="quick")
        # As slow as 6 MB/s.
        await asyncio.sleep(0.01)
    assert text_at is not None, "the text waited for the whole file"
    assert text_at - 10 < 100, f"{text_at - 10} of {pieces} pieces went before the text"
    await end(alice, slow)


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
