"""Downloads of contents: requested once, in pieces, and accepted only if the hash matches."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from tests.federation.handmade import BROKEN, PIECE, Stage, described
from tests.federation.two_realms import fetched, parts, pending
from tests.rawclient import LIMIT, RawClient
from tests.system.transfers import encoded, noise, received, sha256_of


async def given_up(client: RawClient, file: dict[str, Any]) -> dict[str, Any]:
    """Request a file until its download has been given up, and return the refusal."""
    async with asyncio.timeout(LIMIT):
        while True:
            refused = await client.say("getfile", file=file["id"])
            if refused["code"] != "unavailable":
                assert refused["code"] == "unknown_file", refused
                return refused
            await asyncio.sleep(0.02)


MALFORMED: list[dict[str, Any]] = [
    {"name": "x" * 256},
    {"name": 7},
    {"size": 0},
    {"size": "9"},
    {"size": True},
    {"size": 2**60},
    {"type": "no type"},
    {"type": "text/html\r\nx: y"},
    {"sha256": "F" * 64},
    {"sha256": None},
]


async def test_a_malformed_file_is_refused_and_the_rest_flows_on(stage: Stage) -> None:
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    for changed in MALFORMED:
        refused = await mallory.send("bob", file=described(b"x", **changed))
        assert refused == "bad_arguments", changed
    assert await mallory.send("bob", file="x.bin") == "bad_arguments"
    assert await mallory.send("bob", file=described(b"x"), text="and more") == "bad_arguments"
    assert await mallory.send("bob", text="hi") is None
    assert (await bob.event("message"))["text"] == "hi"
    assert pending(stage.beta) == []


async def test_a_path_before_a_name_is_taken_off(stage: Stage) -> None:
    """Contract 5: paths are removed from file names, also from those of other realms."""
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    assert await mallory.send("bob", file=described(b"x", name="/etc/pass\u202ewd")) is None
    assert (await bob.event("message"))["file"]["name"] == "passwd"


async def test_too_large_a_file_is_refused_before_anything_is_fetched(stage: Stage) -> None:
    mallory = await stage.linked()
    await stage.sign_in("bob")
    size = 100 * 2**20
    assert await mallory.send("bob", file=described(b"x", size=size + 1)) == "too_large"
    assert await mallory.send("bob", file=described(b"y", size=size)) is None
    assert (await mallory.hear("want"))["sha256"] == sha256_of(b"y")


async def test_a_wrong_content_is_fetched_anew_and_given_up_after_three(stage: Stage) -> None:
    """A wrong content is neither shown nor stored; a later message with it is tried anew."""
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    right, wrong = noise(3 * PIECE + 5), noise(3 * PIECE + 5)
    assert await mallory.send("bob", file=described(right)) is None
    file = (await bob.event("message"))["file"]
    for _ in range(3):
        assert await mallory.give(wrong) == [0, PIECE, 2 * PIECE, 3 * PIECE]
    refused = await given_up(bob, file)
    assert "mallory did not send" in refused["message"]
    assert parts(stage.beta) == {}
    assert len(re.findall("a content from another realm has another hash", stage.beta.log)) == 3
    assert "it is given up" in stage.beta.log and "Traceback" not in stage.beta.log
    await mallory.hang_up()
    await mallory.dial(stage.beta)
    mallory.number = 1
    assert await mallory.send("bob", file=described(right)) is None
    await mallory.give(right)
    again = (await bob.event("message"))["file"]
    assert await received(bob, again) == right
    assert await fetched(bob, file) == right


async def test_pieces_of_another_size_count_as_a_wrong_content(stage: Stage) -> None:
    """A piece of an unannounced size never reaches the disk."""
    await stage.sign_in("bob")
    mallory = await stage.linked()
    content = noise(PIECE + 5)
    assert await mallory.send("bob", file=described(content)) is None
    for data, last in [(content[:100], False), (content[:PIECE], True), (content, False)]:
        want = await mallory.hear("want")
        while want["offset"] != 0:
            await mallory.answer(want, content)
            want = await mallory.hear("want")
        await mallory.say(
            kind="piece", sha256=want["sha256"], offset=0, data=encoded(data), last=last
        )
    await stage.until_pending((sha256_of(content), 3))
    assert parts(stage.beta) == {}


async def test_gone_gives_up_at_once(stage: Stage) -> None:
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    assert await mallory.send("bob", file=described(b"content")) is None
    want = await mallory.hear("want")
    await mallory.say(kind="gone", sha256=want["sha256"])
    file = (await bob.event("message"))["file"]
    await given_up(bob, file)


async def test_later_is_asked_again(stage: Stage) -> None:
    """A host relays a message before it has the content itself."""
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    assert await mallory.send("bob", file=described(b"content")) is None
    for _ in range(2):
        want = await mallory.hear("want")
        await mallory.say(kind="later", sha256=want["sha256"])
    assert await mallory.give(b"content") == [0]
    assert await received(bob, (await bob.event("message"))["file"]) == b"content"


_ASKED = {"sha256": sha256_of(b"asked"), "offset": 0}
NOT_ASKED: list[dict[str, Any]] = [
    {"kind": "piece", "sha256": "f" * 64, "offset": 0, "data": "eA==", "last": True},
    {"kind": "gone", "sha256": "f" * 64},
    {"kind": "later"},
    {"kind": "piece", **_ASKED, "offset": 1, "data": "eA==", "last": True},
    {"kind": "piece", **_ASKED, "data": "?", "last": True},
    {"kind": "piece", **_ASKED, "last": True},
]


async def test_an_answer_to_what_was_not_asked_ends_the_link(stage: Stage) -> None:
    await stage.sign_in("bob")
    for number, answer in enumerate(NOT_ASKED):
        mallory = await stage.linked(f"mallory{number}")
        assert await mallory.send("bob", file=described(b"asked")) is None
        await mallory.hear("want")
        await mallory.say(**answer)
        assert await mallory.closed() == BROKEN, answer
    assert "Traceback" not in stage.beta.log


async def test_a_content_that_comes_twice_is_fetched_once(stage: Stage) -> None:
    """Also during the first download; each message has its own file."""
    bob = await stage.sign_in("bob")
    ann = await stage.sign_in("ann")
    mallory = await stage.linked()
    content = noise(2 * PIECE)
    assert await mallory.send("bob", file=described(content, name="one")) is None
    assert await mallory.send("ann", file=described(content, name="two")) is None
    assert await mallory.give(content) == [0, PIECE]
    files = [(await client.event("message"))["file"] for client in (bob, ann)]
    assert [file["name"] for file in files] == ["one", "two"]
    for client, file in zip((bob, ann), files, strict=True):
        assert await received(client, file) == content
    assert await mallory.send("ann", file=described(content, name="three")) is None
    assert await received(ann, (await ann.event("message"))["file"]) == content
    assert pending(stage.beta) == []


async def test_what_a_realm_was_sent_comes_back_without_being_fetched(stage: Stage) -> None:
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    content = noise(100)
    assert await mallory.send("bob", text="hi") is None
    await bob.event("message")
    await bob.ask("sendfile", to="eve@mallory", name="x", data=encoded(content))
    assert await mallory.send("bob", file=described(content)) is None
    assert await received(bob, (await bob.event("message"))["file"]) == content


async def test_naming_a_hash_opens_no_content_that_is_here(stage: Stage) -> None:
    """The other realm must send the content, even if a content with that hash is here."""
    ann = await stage.sign_in("ann")
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    secret = noise(100)
    await ann.ask("sendfile", to="ann", name="diary", data=encoded(secret))
    assert await mallory.send("bob", file=described(secret)) is None
    file = (await bob.event("message"))["file"]
    want = await mallory.hear("want")
    assert (await bob.say("getfile", file=file["id"]))["code"] == "unavailable"
    await mallory.say(kind="want", sha256=want["sha256"], offset=0)
    assert (await mallory.hear("piece", "later", "gone"))["kind"] == "gone"
    await mallory.answer(want, secret)
    assert await received(bob, file) == secret


async def test_small_goes_before_large_and_senders_take_turns(stage: Stage) -> None:
    """No sender waits for all files of another one."""
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    contents: dict[str, tuple[str, bytes]] = {}
    for sender, size in [("ana", 40), ("ana", 30), ("ana", 1), ("ben", 20)]:
        content = noise(size * PIECE)
        contents[sha256_of(content)] = (f"{sender} {size}", content)
        assert await mallory.send("bob", sender=sender, file=described(content)) is None
        await bob.event("message")  # from now on its content is waited for
    asked: list[str] = []
    for _ in range(40 + 30 + 1 + 20):
        want = await mallory.hear("want")
        name, content = contents[want["sha256"]]
        asked.append(name)
        await mallory.answer(want, content)
    # Pieces of the first were already in flight when the others were announced.
    assert asked.index("ana 1") <= 4
    turns = asked[5:35]
    assert turns[::2] in (["ana 30"] * 15, ["ben 20"] * 15)
    assert turns[1::2] in (["ana 30"] * 15, ["ben 20"] * 15)
    assert set(asked[-30:]) == {"ana 40"}
    await stage.until_pending()


async def test_a_realm_that_gives_nothing_is_asked_for_little(stage: Stage) -> None:
    """Unanswered requests are bounded, and so are the answers to them."""
    await stage.sign_in("bob")
    mallory = await stage.linked()
    for _ in range(20):
        assert await mallory.send("bob", file=described(noise(40 * PIECE))) is None
    for _ in range(2):
        await mallory.hear("want")
    assert await mallory.send("bob", text="hi") is None
    assert not [frame for frame in mallory.kept if frame["kind"] == "want"]
