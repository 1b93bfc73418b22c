"""Files through a real server: whole, pushed, fetched (contract, section 6, Files)."""

from __future__ import annotations

import asyncio
import socket

import pytest
from websockets.asyncio.client import connect

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.transfers import (
    KIB,
    PUSHED,
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

WHOLE = 512 * KIB


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
    ["not base64!", "e", "eA=", "eA==eA==", "eA===", "=", "_+_/-!", "é", 5, None, ["eA=="]],
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
    assert "the server opens no files" in said
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
