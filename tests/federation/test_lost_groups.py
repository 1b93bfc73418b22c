"""Groups whose host or member realm has lost its data: no message reaches the wrong users."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.federation.conftest import Enter, Start
from tests.federation.people import (
    eventually,
    fingerprint_of,
    idle,
    join,
    link_is,
    operate,
    share_group,
    texts,
)
from tests.federation.test_restored import back_up, restore
from tests.rawclient import RawClient
from tests.realserver import RealServer


async def lose_data(server: RealServer) -> None:
    """Restart a realm with empty data and another key."""
    server.kill()
    shutil.rmtree(server.data)
    await asyncio.to_thread(server.start)


async def written(client: RawClient, conversation: str, *wanted: str) -> None:
    """Wait until a conversation contains exactly these texts."""

    async def holds() -> bool:
        return await texts(client, conversation) == list(wanted)

    await eventually(holds)


async def test_a_number_that_a_restored_host_gives_again_is_another_group(
    start: Start, enter: Enter, tmp_path: Path
) -> None:
    """The lost group's replica once kept the number, and messages of the new group were lost."""
    alpha, beta = await start("alpha"), await start("beta")
    ana, bob = await enter(alpha, "ana"), await enter(beta, "bob")
    await join(ana, "beta", beta)
    await eventually(lambda: idle(bob))
    await back_up(beta, tmp_path / "beta.tar")
    assert (await ana.ask("creategroup", name="lost", realm="beta"))["group"] == "#1@beta"
    for number in range(3):
        await ana.ask("sendg", group="#1@beta", text=f"lost {number}")
    await restore(beta, tmp_path / "beta.tar")
    while (event := await ana.event("group"))["change"] != "removed":
        pass
    assert event["group"] == "#1@beta"
    bob = await enter(beta, "bob", register=False)
    assert (await ana.ask("creategroup", name="new", realm="beta"))["group"] == "#1@beta"
    await ana.ask("invitegroup", group="#1@beta", user="bob@beta")
    await ana.ask("sendg", group="#1@beta", text="to bob")
    await bob.ask("sendg", group="#1", text="to ana")
    await written(ana, "#1@beta", "to bob", "to ana")
    await written(bob, "#1", "to bob", "to ana")


@pytest.mark.parametrize("dials", [True, False])
async def test_groups_of_a_lost_key_stay_readable_and_those_of_the_new_one_are_its_own(
    start: Start, enter: Enter, dials: bool
) -> None:
    """Also if the new key had another name here, with a group of the same number."""
    alpha, beta = await start("alpha"), await start("beta")
    ana, bob = await enter(alpha, "ana"), await enter(beta, "bob")
    await join(ana, "beta", beta)
    await ana.ask("creategroup", name="old", realm="beta")
    await ana.ask("sendg", group="#1@beta", text="of old")
    await lose_data(beta)
    bob = await enter(beta, "bob")
    old = "beta.old"
    if dials:
        old = "beta-2"
        await join(bob, "alpha", alpha)
        group = (await bob.ask("creategroup", name="new"))["group"]
        await bob.ask("invitegroup", group=group, user="ana@alpha")
        await bob.ask("sendg", group=group, text="new")
        await written(ana, "#1@beta-2", "new")
    await operate(alpha, "realm retrust", name="beta", fingerprint=fingerprint_of(beta))
    await link_is(ana, "beta", "up")
    assert await texts(ana, f"#1@{old}") == ["of old"]
    refused = await ana.say("sendg", group=f"#1@{old}", text="x")
    assert refused["code"] == "unknown_realm"
    if not dials:
        group = (await ana.ask("creategroup", name="new", realm="beta"))["group"]
        assert group == "#1@beta"
        await ana.ask("invitegroup", group=group, user="bob@beta")
        await bob.ask("sendg", group="#1", text="new")
    await written(ana, "#1@beta", "new")
    await ana.ask("sendg", group="#1@beta", text="both")
    await written(bob, "#1", "new", "both")
    await ana.ask("leavegroup", group=f"#1@{old}")
    assert [g["group"] for g in (await ana.ask("listgroup"))["groups"]] == ["#1@beta"]


async def test_a_member_realm_that_lost_its_data_learns_of_the_group_by_its_next_message(
    start: Start, enter: Enter
) -> None:
    """Its users once got no more messages, and removing one of them broke the link."""
    alpha, beta = await start("alpha"), await start("beta")
    ana, bob = await enter(alpha, "ana"), await enter(beta, "bob")
    group = await share_group(ana, bob, beta)
    await ana.ask("sendg", group=group, text="before")
    await lose_data(beta)
    bob = await enter(beta, "bob")
    await operate(alpha, "realm retrust", name="beta")
    await link_is(ana, "beta", "up")
    await ana.ask("sendg", group=group, text="after")
    await written(bob, f"{group}@alpha", "before", "after")
    await bob.ask("sendg", group=f"{group}@alpha", text="answer")
    await written(ana, group, "before", "after", "answer")
    await ana.ask("kick", group=group, user="bob@beta")
    while (await bob.event("group"))["change"] != "removed":
        pass
    assert "a link was broken off" not in beta.log + alpha.log
