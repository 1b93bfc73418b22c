"""Files over links that are cut and realms that are killed: resumed, complete and intact."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from tests.federation.handmade import PIECE, Stage, described
from tests.federation.two_realms import TwoRealms, fetched, parts, pending, until_parts_grow
from tests.system.transfers import announced, encoded, go_on, noise, received, sha256_of

SIZE = 24_000_000
CUTS = 3


async def test_a_content_outlives_kills_of_either_side(tmp_path: Path) -> None:
    """The download resumes after a kill of either side; one message, and the content is intact."""
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    dice = random.Random(seed)
    pair = TwoRealms(tmp_path)
    pair.start()
    try:
        await pair.link()
        ana, ana_is, _, bea_is = await pair.two()
        content = noise(SIZE)
        sent = await go_on(ana, announced(f"{bea_is}@beta", content), content)
        assert sent["state"] == "delivered"
        kept = 0
        for _ in range(CUTS):
            await asyncio.to_thread(until_parts_grow, pair.beta, kept)
            await asyncio.sleep(dice.uniform(0, 0.3))
            victim = dice.choice([pair.alpha, pair.beta])
            victim.kill()
            here = sum(parts(pair.beta).values())
            victim.start()
            # The part on disk stays: the cleanup at start removes only unneeded parts.
            assert not pending(pair.beta) or sum(parts(pair.beta).values()) >= here > kept
            kept = here
        bea = await pair.sign_in(pair.beta, bea_is, register=False)
        page = await bea.ask("history", conversation=f"{ana_is}@alpha")
        assert len(page["messages"]) == 1
        got = await fetched(bea, page["messages"][0]["file"])
        assert sha256_of(got) == sha256_of(content)
        assert parts(pair.beta) == {} and pending(pair.beta) == []
        assert "Traceback" not in pair.alpha.log + pair.beta.log
        await pair.leave()
    finally:
        pair.kill()


async def test_after_a_restart_a_fetch_goes_on_where_it_was(stage: Stage) -> None:
    """The cleanup at start keeps the part, and removes parts that no download needs."""
    await stage.sign_in("bob")
    mallory = await stage.linked()
    content = noise(10 * PIECE + 7)
    assert await mallory.send("bob", file=described(content)) is None
    await mallory.give(content, until=5 * PIECE)
    await asyncio.to_thread(until_parts_grow, stage.beta, 5 * PIECE - 1)
    stage.beta.kill()
    (stage.beta.data / "uploads" / f"{'0' * 64}.1").write_bytes(b"of nobody")
    stage.beta.start()
    assert list(parts(stage.beta).values()) == [5 * PIECE]
    bob = await stage.sign_in("bob", register=False)
    (message,) = (await bob.ask("history", conversation="eve@mallory"))["messages"]
    refused = await bob.say("getfile", file=message["file"]["id"])
    assert refused["code"] == "unavailable" and "from mallory" in refused["message"]
    await mallory.dial(stage.beta)
    assert (await mallory.give(content))[0] == 5 * PIECE
    assert await fetched(bob, message["file"]) == content
    # No present session was pushed the message, so the content was not pushed either.
    assert [event["event"] for event in await bob.settled()] == []
    assert parts(stage.beta) == {}


async def test_a_session_that_awaits_a_content_gets_it_over_the_next_link(stage: Stage) -> None:
    bob = await stage.sign_in("bob")
    mallory = await stage.linked()
    content = noise(4 * PIECE)
    assert await mallory.send("bob", file=described(content)) is None
    file = (await bob.event("message"))["file"]
    await mallory.give(content, until=2 * PIECE)
    await mallory.hang_up()
    await mallory.dial(stage.beta)
    assert (await mallory.give(content))[0] in (PIECE, 2 * PIECE)
    assert await received(bob, file) == content


async def test_a_restart_between_message_and_content_loses_neither(tmp_path: Path) -> None:
    """The pending download is stored in the transaction of its message."""
    pair = TwoRealms(tmp_path)
    pair.start()
    try:
        await pair.link()
        ana, ana_is, _, bea_is = await pair.two()
        contents = [noise(100_000) for _ in range(30)]
        for content in contents:
            await ana.send("sendfile", to=f"{bea_is}@beta", name="x", data=encoded(content))
        await ana.reply()
        pair.beta.kill()
        for _ in contents[1:]:
            assert (await ana.reply())["state"] in ("delivered", "queued")
        pair.beta.start()
        bea = await pair.sign_in(pair.beta, bea_is, register=False)
        async with asyncio.timeout(30):
            while True:
                page = await bea.ask("history", conversation=f"{ana_is}@alpha")
                if len(page["messages"]) == len(contents):
                    break
                await asyncio.sleep(0.05)
        late = await pair.sign_in(pair.beta, bea_is, register=False)
        for message, content in zip(page["messages"], contents, strict=True):
            assert await fetched(late, message["file"]) == content
        await pair.leave()
    finally:
        pair.kill()
