"""A realm whose store fails: it confirms nothing, and gets all rows in order after recovery."""

from __future__ import annotations

from typing import Any

from tests.federation.conftest import Enter, Start
from tests.federation.people import eventually, join, link_is, realm
from tests.history import history
from tests.rawclient import RawClient
from tests.system.test_store_faults import held

COUNT = 30


async def groups_of(alice: RawClient, bob: RawClient) -> tuple[str, str]:
    """Return alice's addresses of a group hosted by her realm, alpha, and of one hosted by beta."""
    ours = (await alice.ask("creategroup", name="ours"))["group"]
    await alice.ask("invitegroup", group=ours, user="bob@beta")
    theirs = (await bob.ask("creategroup", name="theirs"))["group"]
    await bob.ask("invitegroup", group=theirs, user="alice@alpha")
    while (await alice.event("group"))["group"] != f"{theirs}@beta":
        pass
    while (await bob.event("group"))["group"] != f"{ours}@alpha":
        pass
    return str(ours), f"{theirs}@beta"


async def send_all(alice: RawClient, ours: str, theirs: str) -> list[dict[str, Any]]:
    """Send COUNT messages to bob and to each of both groups, in turn; return the replies."""
    for number in range(COUNT):
        await alice.send("send", to="bob@beta", text=f"{number}")
        await alice.send("sendg", group=ours, text=f"{number}")
        await alice.send("sendg", group=theirs, text=f"{number}")
    return [await alice.reply() for _ in range(3 * COUNT)]


async def nothing_waits(client: RawClient, name: str) -> bool:
    there = await realm(client, name)
    return there["link"] == "up" and there["queued"] == 0


async def test_nothing_is_confirmed_by_a_realm_that_cannot_store_and_all_comes_later(
    start: Start, enter: Enter
) -> None:
    alpha, beta = await start("alpha"), await start("beta")
    alice, bob = await enter(alpha, "alice"), await enter(beta, "bob")
    await join(alice, "beta", beta)
    ours, theirs = await groups_of(alice, bob)

    async def gave_up() -> bool:
        return 'event="link down"' in alpha.log

    with held(beta.data, "EXCLUSIVE"):
        replies = await send_all(alice, ours, theirs)
        assert [reply for reply in replies if reply["status"] != "OK"] == []
        assert {reply["state"] for reply in replies} == {"queued", "stored"}
        assert (await history(bob.ask, "alice@alpha")) == []
        assert len((await alice.ask("outbox"))["queued"]) == 2 * COUNT
        # The realm has ended at least one link, and confirmed nothing.
        await eventually(gave_up)
        assert (await realm(alice, "beta"))["queued"] == 3 * COUNT
    await eventually(lambda: nothing_waits(alice, "beta"))
    wanted = [f"{number}" for number in range(COUNT)]
    for conversation, as_bob in (
        ("bob@beta", "alice@alpha"),
        (ours, f"{ours}@alpha"),
        (theirs, theirs.removesuffix("@beta")),
    ):
        for client, name in ((alice, conversation), (bob, as_bob)):
            assert [m["text"] for m in await history(client.ask, name)] == wanted
    pushed: dict[str, list[str]] = {}
    for event in await bob.settled():
        if event["event"] == "message":
            pushed.setdefault(event["conversation"], []).append(event["text"])
    assert list(pushed.values()) == [wanted] * 3
    told = [event["message_id"] for event in await alice.settled() if event["event"] == "delivery"]
    queued = [reply["message_id"] for reply in replies if reply["state"] == "queued"]
    assert sorted(told) == sorted(queued)


async def test_what_was_confirmed_while_one_could_not_store_is_forgotten_later(
    start: Start, enter: Enter
) -> None:
    """The sender's own store fails: its outbox is empty in the end, and no message is repeated."""
    alpha, beta = await start("alpha"), await start("beta")
    alice, bob = await enter(alpha, "alice"), await enter(beta, "bob")
    await join(alice, "beta", beta)
    beta.kill()
    await link_is(alice, "beta", "down")
    for number in range(COUNT):
        await alice.ask("send", to="bob@beta", text=f"{number}")
    with held(alpha.data, "EXCLUSIVE"):
        beta.start()
        bob = await enter(beta, "bob", register=False)

        async def all_there() -> bool:
            return len(await history(bob.ask, "alice@alpha")) == COUNT

        await eventually(all_there)
    await eventually(lambda: nothing_waits(alice, "beta"))
    states = [m["state"] for m in await history(alice.ask, "bob@beta")]
    assert states == ["delivered"] * COUNT
    texts = [m["text"] for m in await history(bob.ask, "alice@alpha")]
    assert texts == [f"{number}" for number in range(COUNT)]
