"""Group commands have equal replies, whether the user's realm or another one hosts the group.

Each case runs twice with the same users: ana sends the commands, and owns the group unless the case
states otherwise. At home, all are in alpha; abroad, the group and bea are in beta.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.federation.people import operate
from tests.federation.two_realms import TwoRealms
from tests.rawclient import RawClient


@dataclass
class Stage:
    """Two users, and a group that ana has created."""

    pair: TwoRealms
    ana: RawClient
    bea: RawClient
    ana_name: str
    bea_name: str
    group: str
    """The group's address for ana."""
    ana_there: str
    """Ana's address at the group's host."""
    bea_here: str
    """Bea's address for ana."""
    home: bool

    @property
    def group_there(self) -> str:
        return self.group.partition("@")[0]

    async def ask(self, command: str, **given: str) -> Any:
        """Send a command about the group as ana, and return the reply without names."""
        reply = await self.ana.say(command, group=self.group, **given)
        return reply.get("code", reply["status"])

    async def invite_bea(self) -> None:
        await self.ana.ask("invitegroup", group=self.group, user=self.bea_here)
        await self.bea.event("group")

    async def disable_bea(self) -> None:
        server = self.pair.alpha if self.home else self.pair.beta
        await operate(server, "user disable", name=self.bea_name)

    async def hand_over(self) -> None:
        """Make bea the owner of the group, and ana a member."""
        await self.invite_bea()
        await self.ana.ask("leavegroup", group=self.group)
        await self.ana.settled()
        await self.bea.ask("invitegroup", group=self.group_there, user=self.ana_there)
        assert (await self.ana.event("group"))["change"] == "joined"


async def set_up(pair: TwoRealms, place: str) -> Stage:
    if place == "home":
        ana, ana_name, _, _ = await pair.two()
        bea, bea_name, _, _ = await pair.two()
        group = (await ana.ask("creategroup", name="team"))["group"]
        return Stage(pair, ana, bea, ana_name, bea_name, group, ana_name, bea_name, place == "home")
    ana, ana_name, bea, bea_name = await pair.two()
    group = (await ana.ask("creategroup", name="team", realm="beta"))["group"]
    there = f"{ana_name}@alpha"
    return Stage(pair, ana, bea, ana_name, bea_name, group, there, f"{bea_name}@beta", False)


async def the_owner_kicks_herself(s: Stage) -> Any:
    return await s.ask("kick", user=s.ana_name)


async def the_owner_kicks_herself_by_her_full_address_in_capitals(s: Stage) -> Any:
    return await s.ask("kick", user=f"{s.ana_name.upper()}@ALPHA")


async def a_member_kicks_herself(s: Stage) -> Any:
    await s.hand_over()
    return await s.ask("kick", user=s.ana_name)


async def a_member_kicks_the_owner(s: Stage) -> Any:
    await s.hand_over()
    return await s.ask("kick", user=s.bea_here)


async def a_member_kicks_nobody(s: Stage) -> Any:
    await s.hand_over()
    return await s.ask("kick", user="nobody")


async def the_owner_kicks_somebody_who_is_not_in_it(s: Stage) -> Any:
    return await s.ask("kick", user=s.bea_here)


async def the_owner_kicks_nobody(s: Stage) -> Any:
    return await s.ask("kick", user="nobody")


async def the_owner_kicks_a_member_in_capitals(s: Stage) -> Any:
    await s.invite_bea()
    return await s.ask("kick", user=s.bea_here.upper())


async def the_owner_kicks_twice(s: Stage) -> Any:
    await s.invite_bea()
    return [await s.ask("kick", user=s.bea_here), await s.ask("kick", user=s.bea_here)]


async def the_owner_kicks_a_member_whose_account_is_disabled(s: Stage) -> Any:
    await s.invite_bea()
    await s.disable_bea()
    return await s.ask("kick", user=s.bea_here)


async def one_invites_oneself(s: Stage) -> Any:
    return await s.ask("invitegroup", user=s.ana_name)


async def one_invites_somebody_twice(s: Stage) -> Any:
    await s.invite_bea()
    return await s.ask("invitegroup", user=s.bea_here.upper())


async def one_invites_nobody(s: Stage) -> Any:
    return await s.ask("invitegroup", user="nobody")


async def one_invites_nobody_of_the_other_realm(s: Stage) -> Any:
    return await s.ask("invitegroup", user="nobody@beta")


async def one_invites_a_disabled_account(s: Stage) -> Any:
    await s.disable_bea()
    return await s.ask("invitegroup", user=s.bea_here)


async def one_invites_a_disabled_account_of_ones_own_realm(s: Stage) -> Any:
    _, name, _, _ = await s.pair.two()
    await operate(s.pair.alpha, "user disable", name=name)
    return await s.ask("invitegroup", user=name)


async def one_invites_a_member_whose_account_is_disabled(s: Stage) -> Any:
    await s.invite_bea()
    await s.disable_bea()
    return await s.ask("invitegroup", user=s.bea_here)


async def a_stranger_does_anything(s: Stage) -> Any:
    await s.hand_over()
    await s.ana.ask("leavegroup", group=s.group)
    return [
        await s.ask("kick", user=s.bea_here),
        await s.ask("kick", user="nobody"),
        await s.ask("invitegroup", user=s.ana_name),
        await s.ask("invitegroup", user="nobody"),
        await s.ask("leavegroup"),
        await s.ask("ban", user=s.bea_here),
        await s.ask("unban", user=s.bea_here),
    ]


async def a_member_bans_the_owner(s: Stage) -> Any:
    await s.hand_over()
    return await s.ask("ban", user=s.bea_here)


async def the_owner_bans_herself(s: Stage) -> Any:
    return await s.ask("ban", user=s.ana_name)


async def the_owner_bans_nobody(s: Stage) -> Any:
    return [await s.ask("ban", user="nobody"), await s.ask("unban", user="nobody")]


async def somebody_banned_is_not_invited_until_unbanned(s: Stage) -> Any:
    await s.invite_bea()
    answers = [await s.ask("ban", user=s.bea_here), await s.ask("ban", user=s.bea_here)]
    assert (await s.bea.event("group"))["change"] == "removed"
    answers += [
        await s.ask("invitegroup", user=s.bea_here),
        await s.ask("unban", user=s.bea_here.upper()),
        await s.ask("unban", user=s.bea_here),
        await s.ask("invitegroup", user=s.bea_here),
    ]
    return answers


async def somebody_is_banned_who_was_never_in_it(s: Stage) -> Any:
    answers = [await s.ask("ban", user=s.bea_here)]
    return [*answers, await s.ask("invitegroup", user=s.bea_here)]


async def the_last_member_leaves(s: Stage) -> Any:
    return [await s.ask("leavegroup"), await s.ask("leavegroup"), await s.ask("sendg", text="hi")]


async def the_owner_leaves_and_comes_back_as_a_member(s: Stage) -> Any:
    await s.hand_over()
    found = (await s.ana.ask("members", group=s.group))["members"]
    return [member["role"] for member in found]


Case = Callable[[Stage], Awaitable[Any]]
CASES: list[tuple[Case, Any]] = [
    (the_owner_kicks_herself, "forbidden"),
    (the_owner_kicks_herself_by_her_full_address_in_capitals, "forbidden"),
    (a_member_kicks_herself, "forbidden"),
    (a_member_kicks_the_owner, "forbidden"),
    (a_member_kicks_nobody, "forbidden"),
    (the_owner_kicks_somebody_who_is_not_in_it, "unknown_user"),
    (the_owner_kicks_nobody, "unknown_user"),
    (the_owner_kicks_a_member_in_capitals, "OK"),
    (the_owner_kicks_twice, ["OK", "unknown_user"]),
    (the_owner_kicks_a_member_whose_account_is_disabled, "OK"),
    (one_invites_oneself, "OK"),
    (one_invites_somebody_twice, "OK"),
    (one_invites_nobody, "unknown_user"),
    (one_invites_nobody_of_the_other_realm, "unknown_user"),
    (one_invites_a_disabled_account, "forbidden"),
    (one_invites_a_disabled_account_of_ones_own_realm, "forbidden"),
    (one_invites_a_member_whose_account_is_disabled, "OK"),
    (a_member_bans_the_owner, "forbidden"),
    (the_owner_bans_herself, "forbidden"),
    (the_owner_bans_nobody, ["unknown_user"] * 2),
    (
        somebody_banned_is_not_invited_until_unbanned,
        ["OK", "OK", "forbidden", "OK", "OK", "OK"],
    ),
    (somebody_is_banned_who_was_never_in_it, ["OK", "forbidden"]),
    (a_stranger_does_anything, ["unknown_group"] * 7),
    (the_last_member_leaves, ["OK", "unknown_group", "unknown_group"]),
    (the_owner_leaves_and_comes_back_as_a_member, ["owner", "member"]),
]


@pytest.mark.parametrize("place", ["home", "abroad"])
@pytest.mark.parametrize("case, expected", CASES, ids=[case.__name__ for case, _ in CASES])
async def test_a_group_answers_alike_at_home_and_abroad(
    linked: TwoRealms, place: str, case: Case, expected: Any
) -> None:
    stage = await set_up(linked, place)
    assert await case(stage) == expected


@pytest.mark.parametrize("place", ["home", "abroad"])
async def test_a_person_is_answered_by_the_name_they_registered(
    linked: TwoRealms, place: str
) -> None:
    s = await set_up(linked, place)
    realm = "" if place == "home" else "@beta"
    for command in ("invitegroup", "invitegroup", "kick"):
        shouted = f"{s.bea_name.upper()}{realm}"
        reply = await s.ana.ask(command, group=s.group, user=shouted)
        assert reply["user"] == f"{s.bea_name}{realm}"


async def test_what_is_sent_to_a_disabled_account_of_another_realm_is_refused_there(
    linked: TwoRealms,
) -> None:
    ana, ana_name, bea, bea_name = await linked.two()
    to = f"{bea_name}@beta"
    await ana.ask("send", to=to, text="before")
    await operate(linked.beta, "user disable", name=bea_name)
    for command, more in (("send", {"text": "hi"}), ("sendfile", {"name": "a", "data": "aGk="})):
        reply = await ana.say(command, to=to, **more)
        # The other realm sends the same answer if the user has blocked the caller.
        assert (reply.get("code"), to in reply["message"]) == ("forbidden", True)
    page = await ana.ask("history", conversation=to)
    assert [m["state"] for m in page["messages"]] == ["delivered", "refused", "refused"]
    await operate(linked.beta, "user enable", name=bea_name)
    assert (await ana.ask("send", to=to, text="after"))["state"] == "delivered"
    bea = await linked.sign_in(linked.beta, bea_name, register=False)
    texts = (await bea.ask("inbox", user=f"{ana_name}@alpha"))["messages"]
    assert [m["text"] for m in texts] == ["before", "after"]


async def test_two_invitations_of_one_person_from_both_realms_at_once_make_one_member(
    linked: TwoRealms,
) -> None:
    s = await set_up(linked, "abroad")
    await s.invite_bea()
    _, cid, _, _ = await linked.two()
    for _ in range(3):
        await s.ana.send("invitegroup", group=s.group, user=cid)
        await s.bea.send("invitegroup", group=s.group_there, user=f"{cid}@alpha")
    replies = [await person.reply() for person in (s.ana, s.bea) for _ in range(3)]
    assert [reply["status"] for reply in replies] == ["OK"] * 6
    async with asyncio.timeout(20):
        while len((await s.ana.ask("members", group=s.group))["members"]) < 3:
            await s.ana.event("group")
    assert len((await s.bea.ask("members", group=s.group_there))["members"]) == 3
