"""Files between two realms: the same as within one, in the conversation's order, and intact."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from tests.federation.two_realms import TwoRealms, fetched
from tests.rawclient import RawClient
from tests.system.transfers import (
    KIB,
    MIB,
    announced,
    encoded,
    go_on,
    noise,
    received,
    sha256_of,
)

SPELLINGS = ["sendfile", "sendfilerealm"]


async def in_words(client: RawClient, line: str) -> str:
    """Send a line of the text dialect, and return the reply."""
    await client.socket.send(line)
    while str(frame := await client.socket.recv()).startswith(("[", "(", "FILE")):
        pass
    return str(frame)


@pytest.mark.parametrize("size", [1, 1_000, 48 * KIB, 48 * KIB + 1, 512 * KIB])
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_file_arrives_whole_behind_its_message(
    linked: TwoRealms, spelling: str, size: int
) -> None:
    """Contract 5, 6 and 7: the reply is `delivered`; the `file` events follow the message."""
    ana, ana_is, bea, bea_is = await linked.two()
    content = noise(size)
    to = {"to": f"{bea_is}@beta"} if spelling == "sendfile" else {"realm": "beta", "to": bea_is}
    sent = await ana.ask(spelling, **to, name="photo.png", data=encoded(content))
    assert (sent["conversation"], sent["seq"], sent["state"]) == (f"{bea_is}@beta", 1, "delivered")
    message = await bea.event("message")
    file = message["file"]
    assert (message["from"], message["conversation"]) == (f"{ana_is}@alpha", f"{ana_is}@alpha")
    assert (message["text"], message["id"]) == ("", sent["message_id"])
    assert file | {"id": ""} == sent["file"] | {"id": ""} and file["id"] != sent["file"]["id"]
    assert (file["type"], file["sha256"]) == ("image/png", sha256_of(content))
    assert await received(bea, file) == content
    assert await fetched(bea, file) == content


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_in_words_a_file_is_offered_and_fetched_with_getfile(
    linked: TwoRealms, spelling: str
) -> None:
    """Contract 2 and 7: both dialects; a text session starts with `files offer`."""
    _, _, bea, bea_is = await linked.two()
    ana = await linked.sign_in(linked.alpha, f"words-{spelling}")
    to = f"{bea_is}@beta" if spelling == "sendfile" else f"beta {bea_is}"
    content = noise(1_000)
    answer = await in_words(ana, f"{spelling} {to} notes.txt {encoded(content)}")
    assert answer.startswith(f"OK Sent to {bea_is}@beta as message 1")
    assert await received(bea, (await bea.event("message"))["file"]) == content
    await in_words(bea, "format text")
    await in_words(ana, f"{spelling} {to} notes.txt {encoded(content)}")
    line = str(await bea.socket.recv())
    assert line.startswith(f"[words-{spelling}@alpha] notes.txt (1.0 kB) file f_")
    answer = await in_words(bea, f"getfile {line.rpartition(' ')[2]}")
    assert answer.startswith("OK f_")
    assert str(await bea.socket.recv()).endswith(f" 0 {encoded(content)}")


async def test_20_mb_by_upload_are_on_their_way_and_then_there(linked: TwoRealms) -> None:
    """Contract 6: during the download, `getfile` names the other realm; then it succeeds."""
    ana, _, bea, bea_is = await linked.two()
    content = noise(20_000_000)
    sent = await go_on(ana, announced(f"{bea_is}@beta", content), content)
    assert (sent["state"], sent["seq"], sent["offset"]) == ("delivered", 1, len(content))
    file = (await bea.event("message"))["file"]
    refused = await bea.say("getfile", file=file["id"])
    assert (refused["code"], refused["temporary"]) == ("unavailable", True)
    assert "x.bin is still on its way from alpha" in refused["message"]
    assert refused["retry_after"] > 0
    assert sha256_of(await fetched(bea, file)) == sha256_of(content)
    assert sha256_of(await fetched(ana, sent["file"])) == sha256_of(content)


async def test_the_realm_that_was_dialled_gives_as_well(linked: TwoRealms) -> None:
    ana, ana_is, bea, bea_is = await linked.two()
    content = noise(3 * MIB)
    assert (await ana.ask("send", to=f"{bea_is}@beta", text="hi"))["state"] == "delivered"
    await go_on(bea, announced(f"{ana_is}@alpha", content), content)
    assert sha256_of(await received(ana, (await ana.event("message"))["file"])) == (
        sha256_of(content)
    )


async def test_texts_and_files_keep_their_order(linked: TwoRealms) -> None:
    """Contract 5: `seq` is the only order; a file has its seq before its content arrives."""
    ana, ana_is, bea, bea_is = await linked.two()
    to = f"{bea_is}@beta"
    for at in range(0, 20, 2):
        await ana.send("send", to=to, text=f"text {at}")
        await ana.send("sendfile", to=to, name=f"file {at + 1}", data=encoded(noise(100_000)))
    for _ in range(20):
        assert (await ana.reply())["state"] == "delivered"
    page = await bea.ask("history", conversation=f"{ana_is}@alpha")
    shown = [m["text"] or m["file"]["name"] for m in page["messages"]]
    assert shown == [f"{('text', 'file')[at % 2]} {at}" for at in range(20)]


async def test_a_repeat_under_a_key_sends_nothing(linked: TwoRealms) -> None:
    """Contract 5: the first result with `duplicate`, for a file in one frame and an upload."""
    ana, ana_is, bea, bea_is = await linked.two()
    content = noise(1_000)
    whole = {"to": f"{bea_is}@beta", "name": "a", "data": encoded(content), "idempotency_key": "1"}
    first, again = [await ana.ask("sendfile", **whole) for _ in range(2)]
    assert again["duplicate"] is True and again["file"] == first["file"]
    what = announced(f"{bea_is}@beta", content) | {"idempotency_key": "2"}
    first, again = [await go_on(ana, what, content) for _ in range(2)]
    assert again["duplicate"] is True and again["message_id"] == first["message_id"]
    page = await bea.ask("history", conversation=f"{ana_is}@alpha")
    assert len(page["messages"]) == 2


async def test_all_sessions_that_await_a_content_are_served(linked: TwoRealms) -> None:
    """One content for two users with three sessions, announced during its download."""
    ana, _, bea, bea_is = await linked.two()
    tablet = await linked.sign_in(linked.beta, bea_is, register=False)
    _, _, cleo, cleo_is = await linked.two()
    content = noise(7 * MIB)
    sent = await go_on(ana, announced(f"{bea_is}@beta", content), content)
    assert sent["state"] == "delivered"
    await go_on(ana, announced(f"{cleo_is}@beta", content), content)
    for session in (bea, tablet, cleo):
        file = (await session.event("message"))["file"]
        assert sha256_of(await received(session, file)) == sha256_of(content)


async def test_who_signed_in_on_a_connection_since_is_not_served(linked: TwoRealms) -> None:
    """A content is pushed to its message's recipients, not to a later user of the connection."""
    ana, _, bea, bea_is = await linked.two()
    _, _, _, eve_is = await linked.two()
    content = noise(7 * MIB)
    await go_on(ana, announced(f"{bea_is}@beta", content), content)
    file = (await bea.event("message"))["file"]
    bea.events.clear()
    await bea.ask("auth", user=eve_is, password=f"secret-{eve_is}")
    bea.events.clear()
    again = await linked.sign_in(linked.beta, bea_is, register=False)
    assert await fetched(again, file) == content
    assert await bea.settled() == []
    assert (await bea.say("getfile", file=file["id"]))["code"] == "unknown_file"


async def test_a_name_that_nobody_has_there_is_refused(linked: TwoRealms) -> None:
    """Contract 6: the reply is the other realm's refusal."""
    ana, _, bea, bea_is = await linked.two()
    file = {"name": "a", "data": encoded(b"x")}
    refused = await ana.say("sendfile", to="nobody@beta", **file)
    assert refused["code"] == "unknown_user"
    assert (await ana.say("sendfile", to="bea@gamma", **file))["code"] == "unknown_realm"
    what = announced("bea@gamma", b"x")
    assert (await ana.say("upload", **what))["code"] == "unknown_realm"
    assert (await ana.ask("send", to=f"{bea_is}@beta", text="hi"))["state"] == "delivered"


async def linked(folder: Path, *options: str) -> TwoRealms:
    linked = TwoRealms(folder, *options)
    linked.start()
    await linked.link()
    return linked


async def test_a_file_over_the_other_realms_limit_is_too_large(tmp_path: Path) -> None:
    """The sender gets the refusal as reply or `delivery` event; other messages proceed."""
    pair = await linked(tmp_path, "--max-file", "1")
    try:
        ana, ana_is, bea, bea_is = await pair.two()
        content = noise(MIB + 1)
        with pytest.raises(AssertionError) as error:
            await go_on(ana, announced(f"{bea_is}@beta", content), content)
        refused = cast("dict[str, Any]", error.value.args[0])
        assert refused["code"] == "too_large" and f"{bea_is}@beta" in refused["message"]
        pair.beta.kill()
        queued = await go_on(ana, announced(f"{bea_is}@beta", content), content)
        assert queued["state"] == "queued"
        pair.beta.start()
        while (told := await ana.event("delivery"))["message_id"] != queued["message_id"]:
            pass
        assert (told["state"], told["code"]) == ("refused", "too_large")
        assert (await ana.ask("send", to=f"{bea_is}@beta", text="hi"))["state"] == "delivered"
        bea = await pair.sign_in(pair.beta, bea_is, register=False)
        page = await bea.ask("history", conversation=f"{ana_is}@alpha")
        assert [m["text"] for m in page["messages"]] == ["hi"]
        await pair.leave()
    finally:
        pair.kill()


async def test_all_files_of_a_realm_have_a_quota(tmp_path: Path) -> None:
    """`--max-realm-files` counts the files of all users of the other realm together."""
    pair = await linked(tmp_path, "--max-realm-files", "1")
    try:
        ana, _, _, bea_is = await pair.two()
        other, _, bea, _ = await pair.two()
        to = f"{bea_is}@beta"
        half = [encoded(noise(512 * KIB)) for _ in range(2)]
        assert (await ana.ask("sendfile", to=to, name="a", data=half[0]))["state"] == "delivered"
        assert (await other.ask("sendfile", to=to, name="b", data=half[1]))["state"] == "delivered"
        for client in (ana, other):
            refused = await client.say("sendfile", to=to, name="c", data=encoded(b"x"))
            assert refused["code"] == "too_large"
        page = await ana.ask("history", conversation=to)
        assert [m["state"] for m in page["messages"]] == ["delivered", "refused"]
        assert (await bea.ask("sendfile", to=bea_is, name="own", data=half[0]))["state"] == "stored"
        await pair.leave()
    finally:
        pair.kill()


async def test_files_wait_for_a_realm_that_is_away(tmp_path: Path) -> None:
    """An unreachable realm delays files but loses none; neither does a restart of the own realm."""
    pair = await linked(tmp_path)
    try:
        ana, ana_is, bea, bea_is = await pair.two()
        pair.beta.kill()
        contents = [noise(10_000), noise(3 * MIB)]
        small = await ana.ask("sendfile", to=f"{bea_is}@beta", name="s", data=encoded(contents[0]))
        large = await go_on(ana, announced(f"{bea_is}@beta", contents[1]), contents[1])
        assert (small["state"], large["state"]) == ("queued", "queued")
        assert len((await ana.ask("outbox"))["queued"]) == 2
        pair.alpha.kill()
        pair.alpha.start()
        pair.beta.start()
        bea = await pair.sign_in(pair.beta, bea_is, register=False)
        messages: list[dict[str, Any]] = []
        while len(messages) < 2:
            await asyncio.sleep(0.1)
            page = await bea.ask("history", conversation=f"{ana_is}@alpha")
            messages = page["messages"]
        # This session was pushed no message, so the content is not pushed to it either.
        late = await pair.sign_in(pair.beta, bea_is, register=False)
        for message, content in zip(messages, contents, strict=True):
            assert await fetched(late, message["file"]) == content
        await pair.leave()
    finally:
        pair.kill()
