"""Groups of several realms whose new members see only messages after they joined."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from tests.federation.people import eventually, texts
from tests.federation.two_realms import TwoRealms
from tests.rawclient import RawClient
from tests.realserver import RealServer


def kept(server: RealServer, group_name: str) -> list[str]:
    """Return the texts of a group in a realm's database."""
    query = (
        "SELECT messages.text FROM messages JOIN conversations c ON c.id = conversation_id"
        " WHERE c.name = ? ORDER BY seq"
    )
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        return [text for (text,) in database.execute(query, (group_name,))]


async def say(client: RawClient, group: str, *said: str) -> None:
    for text in said:
        await client.ask("sendg", group=group, text=text)


async def invite(
    pair: TwoRealms, ana: RawClient, group: str, name: str
) -> tuple[RawClient, list[str]]:
    """Invite a user of beta, and return the texts they see in the group as a member."""
    person = await pair.sign_in(pair.beta, name)
    await ana.ask("invitegroup", group=group, user=f"{name}@beta")
    assert (await person.event("group"))["change"] == "joined"
    await person.ask("sync", have={})
    return person, await texts(person, f"{group}@alpha")


async def listed(client: RawClient, group: str) -> dict[str, Any]:
    groups: list[dict[str, Any]] = (await client.ask("listgroup"))["groups"]
    return next(one for one in groups if one["group"] == group)


async def test_a_realm_that_joins_newly_is_not_sent_what_was_before(linked: TwoRealms) -> None:
    ana, _, _, _ = await linked.two()
    group = str((await ana.ask("creategroup", name="new here"))["group"])
    await say(ana, group, "one", "two")
    old = await ana.ask("sendgroupfile", group=group, name="old", data="aGk=")
    await ana.ask("grouphistory", group=group, history="joining")
    bea, found = await invite(linked, ana, group, "bea-new")
    there = f"{group}@alpha"
    assert found == []
    shown = await listed(bea, there)
    assert (shown["unread"], shown["history"], shown.get("last")) == (0, "joining", None)
    await say(ana, group, "three")
    assert (await bea.event("message"))["text"] == "three"
    await say(bea, there, "four")
    assert (await ana.event("message"))["text"] == "four"
    for have in ({}, {there: 0}):
        synced = (await bea.ask("sync", have=have))["messages"]
        assert [m["text"] for m in synced] == ["three", "four"]
    assert kept(linked.beta, "new here") == ["three", "four"]
    assert (await bea.say("getfile", file=old["file"]["id"]))["code"] == "unknown_file"
    # The realm of a member with full history is sent the rest; only that member sees it.
    await ana.ask("grouphistory", group=group, history="all")
    cid, _ = await invite(linked, ana, group, "cid-new")

    async def complete() -> bool:
        return len(await texts(cid, there)) == 5

    await eventually(complete)
    assert await texts(bea, there) == ["three", "four"]
    assert [e for e in await bea.settled() if e["event"] == "message"] == []
    assert kept(linked.beta, "new here") == ["one", "two", "", "three", "four"]
    assert "history" not in await listed(cid, there)


async def test_a_realm_that_was_in_the_group_comes_back_with_a_hole_and_fills_it_later(
    linked: TwoRealms,
) -> None:
    ana, _, _, _ = await linked.two()
    group = str((await ana.ask("creategroup", name="with a hole"))["group"])
    there = f"{group}@alpha"
    await say(ana, group, "one", "two")
    bea, found = await invite(linked, ana, group, "bea-hole")

    async def reads(person: RawClient, *expected: str) -> None:
        async def same() -> bool:
            return await texts(person, there) == list(expected)

        await eventually(same)

    await reads(bea, "one", "two")
    await ana.ask("kick", group=group, user="bea-hole@beta")
    await ana.ask("grouphistory", group=group, history="joining")
    await say(ana, group, "three", "four")
    cid, found = await invite(linked, ana, group, "cid-hole")
    assert found == []
    await say(ana, group, "five")
    await reads(cid, "five")
    assert kept(linked.beta, "with a hole") == ["one", "two", "five"]
    # Bea joins again, and no longer sees the earlier messages.
    await ana.ask("invitegroup", group=group, user="bea-hole@beta")
    await say(ana, group, "six")
    await reads(bea, "six")
    await ana.ask("grouphistory", group=group, history="all")
    dan, _ = await invite(linked, ana, group, "dan-hole")
    await reads(dan, "one", "two", "three", "four", "five", "six")
    await reads(cid, "five", "six")
    await reads(bea, "six")
    await say(dan, there, "seven")
    await reads(dan, "one", "two", "three", "four", "five", "six", "seven")


async def test_an_owner_in_another_realm_chooses_at_the_host(linked: TwoRealms) -> None:
    ana, ana_name, bea, _ = await linked.two()
    there = str((await bea.ask("creategroup", name="far", realm="alpha"))["group"])
    group = there.removesuffix("@alpha")
    await say(bea, there, "one")
    chosen = await bea.ask("grouphistoryrealm", realm="alpha", group=group, history="joining")
    assert (chosen["group"], chosen["history"]) == (there, "joining")
    assert (await listed(bea, there))["history"] == "joining"
    await bea.ask("invitegroup", group=there, user=f"{ana_name}@alpha")
    assert await texts(ana, group) == []
    assert (await ana.say("grouphistory", group=group, history="all"))["code"] == "forbidden"
    await say(bea, there, "two")
    assert (await ana.event("message"))["text"] == "two"
    assert await texts(ana, group) == ["two"]
    await bea.ask("grouphistory", group=there, history="all")
    assert "history" not in await listed(ana, group)


async def test_a_choice_outlives_a_restart_and_a_link_that_begins_anew(linked: TwoRealms) -> None:
    ana, _, _, _ = await linked.two()
    group = str((await ana.ask("creategroup", name="restarted"))["group"])
    there = f"{group}@alpha"
    await say(ana, group, "one", "two")
    await ana.ask("grouphistory", group=group, history="joining")
    await invite(linked, ana, group, "bea-restart")
    linked.beta.stop()
    await say(ana, group, "three")
    linked.beta.start()
    bea = await linked.sign_in(linked.beta, "bea-restart", register=False)

    async def came() -> bool:
        return await texts(bea, there) == ["three"]

    await eventually(came)
    assert kept(linked.beta, "restarted") == ["three"]


async def test_members_of_both_realms_learn_at_once_what_new_members_may_read(
    linked: TwoRealms,
) -> None:
    """The choice was pushed to nobody: open apps showed the old one."""
    ana, _, _, _ = await linked.two()
    owner = (await ana.ask("whoami"))["user"]
    group = str((await ana.ask("creategroup", name="told"))["group"])
    cid = await linked.sign_in(linked.alpha, "cid-told")
    await ana.ask("invitegroup", group=group, user="cid-told")
    assert (await cid.event("group"))["change"] == "joined"
    bea, _ = await invite(linked, ana, group, "bea-told")
    assert (await cid.event("group"))["user"] == "bea-told@beta"
    for history in ("joining", "all"):
        await ana.ask("grouphistory", group=group, history=history)
        for person, at in ((cid, ""), (bea, "@alpha")):
            told = await person.event("group")
            assert (told["group"], told["user"]) == (group + at, owner + at)
            assert (told["change"], told["history"]) == ("history", history)
    await ana.ask("grouphistory", group=group, history="all")  # as it is
    assert [e for e in (await cid.settled()) + (await bea.settled()) if e["event"] == "group"] == []
