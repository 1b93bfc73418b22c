"""Rules of bans and kicks: who was put out comes in again by the owner alone."""

from __future__ import annotations

import pytest

from tests.world import Person, World


@pytest.fixture
async def people(world: World) -> tuple[Person, Person, Person, str]:
    """Alice, who owns a group, bob and carol, who are in it."""
    alice, bob, carol = await world.log_in("alice", "bob", "carol")
    group = str((await alice.ask("creategroup", name="team"))["group"])
    for name in ("bob", "carol"):
        await alice.ask("invitegroup", group=group, user=name)
    for person in (alice, bob, carol):
        await person.pushes()
    return alice, bob, carol, group


People = tuple[Person, Person, Person, str]


async def test_somebody_banned_is_out_and_invited_by_nobody(people: People) -> None:
    alice, bob, carol, group = people
    reply = await alice.ask("ban", group=group, user="bob")
    assert (reply["group"], reply["user"]) == (group, "bob")
    for person in (bob, carol):
        assert [(e["user"], e["change"]) for e in await person.pushes()] == [("bob", "removed")]
    assert await bob.refused("sendg", group=group, text="hi") == "unknown_group"
    for person in (alice, carol):
        assert await person.refused("invitegroup", group=group, user="bob") == "forbidden"
    await alice.ask("unban", group=group, user="bob")
    await carol.ask("invitegroup", group=group, user="bob")
    assert (await bob.ask("sendg", group=group, text="hi"))["seq"] == 1


async def test_only_the_owner_bans_and_not_themselves(people: People) -> None:
    alice, bob, carol, group = people
    for command in ("ban", "unban"):
        assert await bob.refused(command, group=group, user="carol") == "forbidden"
        assert await bob.refused(command, group=group, user="alice") == "forbidden"
        assert await alice.refused(command, group=group, user="alice") == "forbidden"
        assert await alice.refused(command, group=group, user="nobody") == "unknown_user"
    await carol.ask("leavegroup", group=group)
    assert await carol.refused("ban", group=group, user="bob") == "unknown_group"


async def test_a_ban_twice_and_of_somebody_outside_tells_nobody(
    world: World, people: People
) -> None:
    alice, bob, carol, group = people
    await world.add_users("dave")
    for _ in range(2):
        await alice.ask("ban", group=group, user="dave")
        assert await bob.pushes() == [] and await carol.pushes() == []
    assert await carol.refused("invitegroup", group=group, user="dave") == "forbidden"
    for _ in range(2):
        await alice.ask("unban", group=group, user="dave")
    await carol.ask("invitegroup", group=group, user="dave")


async def test_who_was_kicked_is_invited_again_by_the_owner_only(people: People) -> None:
    """Any member could undo a kick at once."""
    alice, bob, carol, group = people
    await alice.ask("kick", group=group, user="bob")
    assert await carol.refused("invitegroup", group=group, user="bob") == "forbidden"
    await alice.ask("invitegroup", group=group, user="bob")
    # The owner's invitation has cleared it for good.
    await bob.ask("leavegroup", group=group)
    await carol.ask("invitegroup", group=group, user="bob")


async def test_a_kick_does_not_weaken_a_ban_and_unban_clears_both(people: People) -> None:
    alice, _, carol, group = people
    await alice.ask("ban", group=group, user="bob")
    assert await alice.refused("kick", group=group, user="bob") == "unknown_user"
    assert await alice.refused("invitegroup", group=group, user="bob") == "forbidden"
    await alice.ask("unban", group=group, user="bob")
    await alice.ask("invitegroup", group=group, user="bob")
    await alice.ask("kick", group=group, user="bob")
    await alice.ask("unban", group=group, user="bob")
    await carol.ask("invitegroup", group=group, user="bob")


async def test_the_rule_passes_on_with_the_group(people: People) -> None:
    alice, bob, carol, group = people
    await alice.ask("kick", group=group, user="carol")
    await alice.ask("ban", group=group, user="carol")
    await alice.ask("leavegroup", group=group)  # bob owns it now
    assert await bob.refused("invitegroup", group=group, user="carol") == "forbidden"
    await bob.ask("unban", group=group, user="carol")
    await bob.ask("invitegroup", group=group, user="carol")
    assert (await carol.ask("sendg", group=group, text="hi"))["seq"] == 1


async def test_people_kept_out_are_bounded_and_kicking_goes_on(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ws_server.store.groups.group_bans.MAX_KEPT_OUT", 1)
    alice, _, _, group = people
    await alice.ask("ban", group=group, user="bob")
    await alice.ask("ban", group=group, user="bob")
    assert await alice.refused("ban", group=group, user="carol") == "too_large"
    await alice.ask("kick", group=group, user="carol")


async def test_invitations_have_a_budget_for_each_inviter(tmp_path: object) -> None:
    """One account put another one into 300 groups in 8 s."""
    async with World(tmp_path, rate_limits="on") as world:  # type: ignore[arg-type]
        alice, bob, _ = await world.log_in("alice", "bob", "carol")
        group = (await alice.ask("creategroup", name="team"))["group"]
        replies = [
            await alice.say(f'{{"command":"invitegroup","group":"{group}","user":"carol"}}')
            for _ in range(110)
        ]
        refused = [reply for reply in replies if reply["status"] == "ERROR"]
        assert 5 <= len(refused) <= 10
        assert {reply["code"] for reply in refused} == {"rate_limited"}
        assert all(reply["retry_after"] > 0 for reply in refused)
        # Nobody else pays for it, and alice goes on with all the rest.
        own = (await bob.ask("creategroup", name="own"))["group"]
        await bob.ask("invitegroup", group=own, user="carol")
        await alice.ask("sendg", group=group, text="hi")
