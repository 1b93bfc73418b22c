"""A realm restored from a backup, and its peers: no duplicates, and gaps are filled."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.admin.command import done
from tests.federation.conftest import Enter, Start
from tests.federation.people import eventually, idle, join, link_is, texts
from tests.realserver import RealServer


async def back_up(server: RealServer, archive: Path) -> None:
    await asyncio.to_thread(done, "backup", archive, data=server.data)


async def restore(server: RealServer, archive: Path) -> None:
    """Restore a realm from its backup, and start it."""
    server.kill()
    shutil.rmtree(server.data)
    await asyncio.to_thread(done, "restore", archive, data=server.data)
    await asyncio.to_thread(server.start)


async def test_a_restored_realm_doubles_nothing_and_its_replicas_are_filled(
    start: Start, enter: Enter, tmp_path: Path
) -> None:
    """It loses the data that only it had; replicas of groups and rosters are complete again."""
    alpha, beta = await start("alpha"), await start("beta")
    alice, bob = await enter(alpha, "alice"), await enter(beta, "bob")
    berta = await enter(beta, "berta")
    await join(alice, "beta", beta)
    first, left, late = [
        (await alice.ask("creategroup", name=name))["group"] for name in ("first", "left", "late")
    ]
    for group in (first, left):
        await alice.ask("invitegroup", group=group, user="bob@beta")
    await alice.ask("sendg", group=first, text="before")
    await alice.ask("send", to="bob@beta", text="before")
    await bob.event("message")
    await bob.event("message")
    # The rows in the backup's outbox arrive now, and must not be duplicated later.
    alpha.kill()
    await link_is(bob, "alpha", "down")
    waits = await bob.ask("send", to="alice@alpha", text="waits")
    posted = await bob.ask("sendg", group=f"{first}@alpha", text="posted")
    assert (waits["state"], posted["state"]) == ("queued", "queued")
    await back_up(beta, tmp_path / "beta.tar")
    alpha.start()
    alice = await enter(alpha, "alice", register=False)
    for _ in range(2):
        assert (await bob.event("delivery"))["state"] == "delivered"
    # These messages are not in the backup.
    await alice.ask("send", to="bob@beta", text="lost there")
    await bob.ask("sendg", group=f"{first}@alpha", text="written since")

    async def has_its_place() -> bool:
        return (await texts(alice, first))[-1] == (await texts(bob, f"{first}@alpha"))[-1]

    await eventually(has_its_place)
    for number in range(250):
        await alice.send("sendg", group=first, text=f"{number}")
    for _ in range(250):
        assert (await alice.reply())["status"] == "OK"
    await alice.ask("invitegroup", group=late, user="bob@beta")
    await alice.ask("sendg", group=late, text="late")
    await alice.ask("invitegroup", group=first, user="berta@beta")
    await alice.ask("kick", group=left, user="bob@beta")
    while (await berta.event("group"))["user"] != "berta":
        pass
    wanted = ["before", "posted", "written since", *(f"{number}" for number in range(250))]

    await restore(beta, tmp_path / "beta.tar")
    bob = await enter(beta, "bob", register=False)
    berta = await enter(beta, "berta", register=False)

    async def whole() -> bool:
        found: list[str] = []
        for client in (bob, berta):
            found = []
            while True:
                page = await client.say(
                    "history", conversation=f"{first}@alpha", after=len(found), limit=200
                )
                found += [message["text"] for message in page.get("messages", [])]
                if not page.get("more"):
                    break
            if found != wanted:
                return False
        gone = await bob.say("members", group=f"{left}@alpha")
        return await texts(bob, f"{late}@alpha") == ["late"] and gone.get("code") == "unknown_group"

    await eventually(whole)
    await eventually(lambda: idle(bob))
    page = (await bob.ask("history", conversation=f"{first}@alpha", after=0, limit=4))["messages"]
    assert [m["from"] for m in page] == ["alice@alpha", "bob", "bob", "alice@alpha"]
    assert await texts(alice, "bob@beta") == ["before", "waits", "lost there"]
    assert await texts(bob, "alice@alpha") == ["before", "waits"]
    await alice.ask("send", to="bob@beta", text="after")
    while (await bob.event("message"))["text"] != "after":
        pass
    await bob.ask("send", to="alice@alpha", text="and back")
    assert await texts(alice, "bob@beta") == ["before", "waits", "lost there", "after", "and back"]
    assert await texts(bob, "alice@alpha") == ["before", "waits", "after", "and back"]


async def test_members_follow_a_restored_host_that_gives_the_same_places_anew(
    start: Start, enter: Enter, tmp_path: Path
) -> None:
    """Messages that the host lost are lost for all; all members see the later ones."""
    alpha, beta = await start("alpha"), await start("beta")
    alice, bob = await enter(alpha, "alice"), await enter(beta, "bob")
    await join(alice, "beta", beta)
    group = (await alice.ask("creategroup", name="ours"))["group"]
    await alice.ask("invitegroup", group=group, user="bob@beta")
    for number in range(5):
        await alice.ask("sendg", group=group, text=f"{number}")
    there = f"{group}@alpha"

    async def bob_has(*wanted: str) -> bool:
        return await texts(bob, there) == list(wanted)

    kept = [f"{number}" for number in range(5)]
    await eventually(lambda: bob_has(*kept))
    await back_up(alpha, tmp_path / "alpha.tar")
    await enter(alpha, "carol")
    await alice.ask("invitegroup", group=group, user="carol")
    for number in range(8):
        await alice.ask("sendg", group=group, text=f"lost {number}")
    await eventually(lambda: bob_has(*kept, *(f"lost {number}" for number in range(8))))
    await bob.ask("read", conversation=there, seq=13)

    beta.kill()
    await restore(alpha, tmp_path / "alpha.tar")
    alice = await enter(alpha, "alice", register=False)
    # As many messages as were lost, so that the host's last seq is the same again.
    new = [f"new {number}" for number in range(8)]
    for text in new:
        await alice.ask("sendg", group=group, text=text)
    beta.start()
    bob = await enter(beta, "bob", register=False)
    await eventually(lambda: bob_has(*kept, *new))
    members = (await bob.ask("members", group=there))["members"]
    assert [m["user"] for m in members] == ["alice@alpha", "bob"]
    posted = await bob.ask("sendg", group=there, text="from bob")
    assert posted["seq"] in (None, 14)
    await eventually(lambda: bob_has(*kept, *new, "from bob"))
    assert await texts(alice, group) == [*kept, *new, "from bob"]
