"""Invitations by strangers of other realms are pending; alpha is a trial server, beta is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.federation.handmade import Stage as Played
from tests.federation.people import eventually, texts
from tests.federation.two_realms import TwoRealms
from tests.rawclient import RawClient
from tests.realserver import RealServer

SERVING = ("--trusted-proxies", "192.0.2.9", "--realms", "open")
"""Options that end the trial state of a server."""


@pytest.fixture(scope="module")
def serving_pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pair = TwoRealms(tmp_path_factory.mktemp("serving"), *SERVING)
    pair.start()
    yield pair
    pair.kill()


@pytest.fixture
async def pair(serving_pair: TwoRealms) -> AsyncIterator[TwoRealms]:
    bea = await serving_pair.sign_in(serving_pair.beta, "rosa", register=not _linked)
    if not _linked:
        _linked.append(True)
        added = await bea.ask(
            "addrealm", name="alpha", address="127.0.0.1", port=serving_pair.alpha.port
        )
        assert added["link"] == "up"
    yield serving_pair
    await serving_pair.leave()


_linked: list[bool] = []


async def names(client: RawClient, group: str) -> set[str]:
    return {m["user"] for m in (await client.ask("members", group=group))["members"]}


async def groups(client: RawClient) -> list[tuple[str, str]]:
    return [(g["group"], g["role"]) for g in (await client.ask("listgroup"))["groups"]]


async def invited(pair: TwoRealms) -> tuple[RawClient, str, RawClient, str, str, str]:
    """Let ana invite bea, to whom she is a stranger, to a group of alpha with one message."""
    ana, ana_name, bea, bea_name = await pair.two()
    group = str((await ana.ask("creategroup", name="offers"))["group"])
    await ana.ask("sendg", group=group, text="early")
    await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    event = await bea.event("group")
    assert event == {
        "event": "group",
        "group": f"{group}@alpha",
        "name": "offers",
        "user": bea_name,
        "change": "invited",
    }
    return ana, ana_name, bea, bea_name, group, f"{group}@alpha"


async def test_nothing_of_a_group_is_seen_before_its_invitation_is_accepted(
    pair: TwoRealms,
) -> None:
    ana, ana_name, bea, bea_name, group, there = await invited(pair)
    await ana.ask("sendg", group=group, text="buy this")
    await ana.ask("sendgroupfile", group=group, name="a", data="aGk=")
    # Rows arrive in order, so this message arrives after the relayed ones.
    await ana.ask("send", to=f"{bea_name}@beta", text="look")
    assert (await bea.event("message"))["text"] == "look"
    assert [e for e in await bea.settled() if e["event"] != "message"] == []
    assert await groups(bea) == [(there, "invited")]
    (listed,) = (await bea.ask("listgroup"))["groups"]
    assert (listed["unread"], listed["last_seq"], listed.get("last")) == (0, 0, None)
    for command in ("inboxgroup", "members"):
        assert (await bea.say(command, group=there))["code"] == "unknown_group"
    assert (await bea.say("history", conversation=there))["code"] == "unknown_group"
    assert (await bea.say("sendg", group=there, text="hi"))["code"] == "unknown_group"
    synced = await bea.ask("sync", have={})
    assert [c["conversation"] for c in synced["conversations"]] == [f"{ana_name}@alpha"]
    again = await RawClient.open(pair.beta.url)
    unread = (await again.ask("auth", user=bea_name, password=f"secret-{bea_name}"))["unread"]
    assert unread == {f"{ana_name}@alpha": 1}
    await again.close()


async def test_who_accepts_is_in_the_group_with_its_history(pair: TwoRealms) -> None:
    ana, ana_name, bea, bea_name, group, there = await invited(pair)
    await ana.ask("sendg", group=group, text="while it waits")
    assert (await bea.ask("accept", group=there))["group"] == there
    events = await bea.settled()
    assert ("group", "joined") in [(e["event"], e.get("change")) for e in events]
    assert await texts(bea, there) == ["early", "while it waits"]
    assert await groups(bea) == [(there, "member")]
    assert await names(bea, there) == {f"{ana_name}@alpha", bea_name}
    await ana.ask("sendg", group=group, text="welcome")
    assert (await bea.event("message"))["text"] == "welcome"
    await bea.ask("sendg", group=there, text="thanks")
    assert (await ana.event("message"))["text"] == "thanks"
    assert (await bea.ask("accept", group=there))["group"] == there  # nothing changes


async def test_who_declines_is_out_and_the_host_is_told(pair: TwoRealms) -> None:
    ana, _, bea, bea_name, group, there = await invited(pair)
    assert (await bea.ask("declinerealm", realm="alpha", group=group))["group"] == there
    assert await groups(bea) == []

    async def gone() -> bool:
        return f"{bea_name}@beta" not in await names(ana, group)

    await eventually(gone)
    await bea.settled()
    for command in ("accept", "decline"):
        assert (await bea.say(command, group=there))["code"] == "unknown_group"
    # After a second invitation she may decide again.
    await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    assert (await bea.event("group"))["change"] == "invited"


@pytest.mark.parametrize("host", ["alpha", "beta"])
async def test_leavegroup_declines_an_invitation_too(pair: TwoRealms, host: str) -> None:
    ana, _, bea, bea_name = await pair.two()
    realm = {} if host == "alpha" else {"realm": "beta"}
    group = (await ana.ask("creategroup", name="g", **realm))["group"]
    await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    await bea.event("group")
    ((invited_to, _),) = await groups(bea)
    await bea.ask("leavegroup", group=invited_to)
    assert await groups(bea) == []
    assert (await bea.say("accept", group=invited_to))["code"] == "unknown_group"


async def test_an_invitation_that_is_taken_back_is_gone(pair: TwoRealms) -> None:
    ana, _, bea, bea_name, group, there = await invited(pair)
    await ana.ask("kick", group=group, user=f"{bea_name}@beta")
    assert (await bea.event("group"))["change"] == "removed"
    assert await groups(bea) == []
    assert (await bea.say("accept", group=there))["code"] == "unknown_group"


async def test_somebody_one_has_written_to_adds_one_at_once(pair: TwoRealms) -> None:
    ana, ana_name, bea, bea_name = await pair.two()
    group = (await ana.ask("creategroup", name="friends"))["group"]
    # Messages from ana alone do not make her known to bea.
    await ana.ask("send", to=f"{bea_name}@beta", text="hi")
    await bea.ask("send", to=f"{ana_name}@alpha", text="hello")
    await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    assert (await bea.event("group"))["change"] == "joined"


async def test_people_of_ones_own_realm_add_each_other_at_once_wherever_the_group_is(
    pair: TwoRealms,
) -> None:
    _, _, bea, bea_name = await pair.two()
    _, _, ben, ben_name = await pair.two()
    group = (await bea.ask("creategroup", name="ours", realm="alpha"))["group"]
    assert await groups(bea) == [(group, "owner")]
    assert {e["change"] for e in await bea.settled() if e["event"] == "group"} <= {"joined"}
    await bea.ask("invitegroup", group=group, user=ben_name)
    assert (await ben.event("group"))["change"] == "joined"
    await ben.ask("sendg", group=group, text="hi")
    assert (await bea.event("message"))["text"] == "hi"


async def test_a_stranger_in_a_group_hosted_here_invites_and_it_waits(pair: TwoRealms) -> None:
    """Ana of alpha invites bea of beta to a group of beta; ana is a stranger to bea."""
    ana, ana_name, bea, bea_name = await pair.two()
    group = (await ana.ask("creategroup", name="ours", realm="beta"))["group"]
    here = group.partition("@")[0]
    reply = await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    assert reply["message"] == f"{bea_name}@beta is invited to {group}"
    assert (await bea.event("group"))["change"] == "invited"
    assert await names(ana, group) == {ana_name}
    await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    assert await bea.settled() == [] and await groups(bea) == [(here, "invited")]
    await ana.settled()
    await bea.ask("accept", group=here)
    assert (await ana.event("group"))["user"] == f"{bea_name}@beta"
    assert await names(ana, group) == {ana_name, f"{bea_name}@beta"}
    await ana.ask("sendg", group=group, text="hi")
    assert (await bea.event("message"))["text"] == "hi"


async def test_in_a_trial_nothing_waits(linked: TwoRealms) -> None:
    ana, _, bea, bea_name = await linked.two()
    group = (await ana.ask("creategroup", name="g"))["group"]
    await ana.ask("invitegroup", group=group, user=f"{bea_name}@beta")
    assert (await bea.event("group"))["change"] == "joined"


async def test_accepting_and_declining_do_not_need_the_host(tmp_path: Path) -> None:
    pair = TwoRealms(tmp_path, *SERVING)
    await asyncio.to_thread(pair.start)
    root = await pair.sign_in(pair.beta, "rosa")
    await root.ask("addrealm", name="alpha", address="127.0.0.1", port=pair.alpha.port)
    ana, ana_name, bea, bea_name, group, there = await invited(pair)
    other = (await ana.ask("creategroup", name="other"))["group"]
    await ana.ask("invitegroup", group=other, user=f"{bea_name}@beta")
    await bea.event("group")
    await asyncio.to_thread(pair.alpha.kill)
    await bea.ask("accept", group=there)
    await bea.ask("decline", group=f"{other}@alpha")
    assert await groups(bea) == [(there, "member")]
    await asyncio.to_thread(pair.alpha.start)
    ana = await pair.sign_in(pair.alpha, ana_name, register=False)

    async def caught_up() -> bool:
        return await texts(bea, there) == ["early"]

    async def told() -> bool:
        return f"{bea_name}@beta" not in await names(ana, other)

    await eventually(caught_up)
    await eventually(told)
    assert await names(bea, there) == {f"{ana_name}@alpha", bea_name}
    await pair.leave()
    pair.kill()


async def test_a_hostile_realm_puts_nobody_into_its_groups_and_stores_nothing(
    played: Played,
) -> None:
    """It names two users of beta as members, one as the other's inviter, and writes as one."""
    bea, ben = await played.sign_in("bea"), await played.sign_in("ben")
    mallory = await played.linked()
    key = mallory.their_key
    ours = [{"name": name, "realm": "b", "key": key, "owner": name == "bea"} for name in PEOPLE]
    crowd = [{"name": f"eve{number}"} for number in range(500)]
    by = {"name": "bea", "realm": "b", "key": key}
    await mallory.change(1, 1, [*ours, *crowd], by=by)
    await mallory.relay(1, 1, by, "I, bea, say so")
    for client in (bea, ben):
        assert (await client.event("group"))["change"] == "invited"
        assert await client.settled() == []
        ((group, role),) = await groups(client)
        # No local user has confirmed this realm, so its name contains a part of its key.
        assert (group.startswith("#1@mallory~"), role) == (True, "invited")
        assert (await client.say("history", conversation=group))["code"] == "unknown_group"
    assert await _people_known(played.beta) == {"bea", "ben"}


PEOPLE = ("bea", "ben")


async def _people_known(server: RealServer) -> set[str]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        return {name for (name,) in database.execute("SELECT name FROM users")}


async def test_a_hostile_realm_lets_so_many_invitations_wait_and_no_more(played: Played) -> None:
    bea = await played.sign_in("bea")
    mallory = await played.linked()
    key = mallory.their_key
    mine = {"name": "bea", "realm": "b", "key": key}
    for number in range(1, 131):
        await mallory.change(number, 1, [{"name": "eve", "owner": True}, mine])
    assert len(await groups(bea)) == 100
    asked = [await mallory.hear("ask") for _ in range(30)]
    assert {ask["group"] for ask in asked} == set(range(101, 131))
    assert {(ask["what"], ask["by"]) for ask in asked} == {("leave", "bea")}


@pytest.fixture
async def played(tmp_path: Path) -> AsyncIterator[Played]:
    """A realm that serves users, for tests that simulate the other realms."""
    server = RealServer(tmp_path, "--realm", "beta", *SERVING)
    server.start()
    made = Played(server)
    yield made
    await made.leave()
    server.kill()
    assert "Traceback" not in server.log
