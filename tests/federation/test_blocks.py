"""Blocks across realms: the blocker's realm refuses; the sender's realm shows the refusal."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.federation.handmade import Stage as Played
from tests.federation.people import texts
from tests.federation.two_realms import TwoRealms


async def test_what_a_blocked_person_of_another_realm_sends_is_refused_there(
    linked: TwoRealms,
) -> None:
    ana, ana_name, bea, bea_name = await linked.two()
    to, here = f"{bea_name}@beta", f"{ana_name}@alpha"
    await ana.ask("send", to=to, text="before")
    assert (await bea.ask("blockrealm", realm="alpha", user=ana_name))["users"] == [here]
    for command, more in (("send", {"text": "hi"}), ("sendfile", {"name": "a", "data": "aGk="})):
        reply = await ana.say(command, to=to, **more)
        assert reply["code"] == "forbidden"
        assert "block" not in reply["message"] and "disabled" not in reply["message"]
    page = await ana.ask("history", conversation=to)
    assert [m["state"] for m in page["messages"]] == ["delivered", "refused", "refused"]
    assert await texts(bea, here) == ["before"]
    await bea.ask("unblock", user=here)
    assert (await ana.ask("send", to=to, text="after"))["state"] == "delivered"
    assert await texts(bea, here) == ["before", "after"]


async def test_a_person_is_blocked_before_they_ever_wrote(linked: TwoRealms) -> None:
    ana, ana_name, bea, bea_name = await linked.two()
    await bea.ask("block", user=f"{ana_name}@alpha")
    assert (await ana.say("send", to=f"{bea_name}@beta", text="hi"))["code"] == "forbidden"
    assert (await bea.ask("listpc"))["conversations"] == []


async def test_taking_back_what_was_never_done_notes_nobody(linked: TwoRealms) -> None:
    """Otherwise anybody could fill the store with names."""
    _, _, bea, _ = await linked.two()
    group = (await bea.ask("creategroup", name="g"))["group"]
    assert (await bea.ask("unblock", user="never.was@alpha"))["users"] == []
    reply = await bea.say("unban", group=group, user="never.was@alpha")
    assert reply["code"] == "unknown_user"
    with closing(sqlite3.connect(linked.beta.data / "chat.db")) as database:
        query = "SELECT count(*) FROM users WHERE name = 'never.was'"
        assert database.execute(query).fetchone() == (0,)


async def test_no_receipt_passes_between_realms_while_one_blocks_the_other(
    linked: TwoRealms,
) -> None:
    ana, ana_name, bea, bea_name = await linked.two()
    there, here = f"{bea_name}@beta", f"{ana_name}@alpha"
    await ana.ask("send", to=there, text="one")
    await bea.ask("send", to=here, text="two")
    await bea.ask("block", user=here)
    await bea.settled()
    await ana.settled()
    await ana.ask("read", conversation=there, seq=2)
    await bea.ask("read", conversation=here, seq=2)
    # Rows arrive in order, so receipts would have arrived before this message.
    await bea.ask("send", to=here, text="three")
    assert (await ana.event("message"))["text"] == "three"
    assert [e for e in await ana.settled() if e["event"] == "receipt"] == []
    assert [e for e in await bea.settled() if e["event"] == "receipt"] == []


@pytest.mark.parametrize("place", ["group of the inviter's realm", "of the person's", "same realm"])
async def test_a_blocked_person_invites_from_no_realm(linked: TwoRealms, place: str) -> None:
    ana, ana_name, bea, bea_name = await linked.two()
    if place == "same realm":
        # Both users are in alpha, the group is in beta.
        ben, ben_name, _, _ = await linked.two()
        group = (await ana.ask("creategroup", name="g", realm="beta"))["group"]
        await ben.ask("block", user=ana_name)
        reply = await ana.say("invitegroup", group=group, user=ben_name)
    else:
        await bea.ask("block", user=f"{ana_name}@alpha")
        realm = {} if place.startswith("group") else {"realm": "beta"}
        group = (await ana.ask("creategroup", name="g", **realm))["group"]
        reply = await ana.say("invitegroup", group=group, user=f"{bea_name}@beta")
    assert reply["code"] == "forbidden", reply
    assert "block" not in reply["message"]
    assert (await bea.ask("listgroup"))["groups"] == []
    assert len((await ana.ask("members", group=group))["members"]) == 1


async def test_a_realm_that_does_not_ask_puts_nobody_into_a_group_for_one_they_block(
    stage: Played,
) -> None:
    """An older host sends only the members of its group and the inviter."""
    bea = await stage.sign_in("bea")
    mallory = await stage.linked()
    await mallory.send("bea", text="hi")
    await bea.event("message")
    await bea.ask("block", user="eve@mallory")
    key = mallory.their_key
    members = [{"name": "eve", "owner": True}, {"name": "bea", "realm": "b", "key": key}]
    await mallory.change(1, 1, members, by={"name": "eve"})
    ask = await mallory.hear("ask")
    assert (ask["what"], ask["by"], ask["group"]) == ("leave", "bea", 1)
    # A host that refuses `leave` is not asked again for ever.
    roster = {"group": 1, "name": "offers", "version": 2, "last_seq": 0, "members": members}
    await mallory.say(kind="answer", id=ask["id"], ok={"roster": roster})
    assert await mallory.send("bea", text="still here") == "forbidden"
    assert await mallory.send("bea", text="still here") == "forbidden"
    assert [frame for frame in mallory.kept if frame["kind"] == "ask"] == []
    assert (await bea.ask("listgroup"))["groups"] == []
    assert [e for e in await bea.settled() if e["event"] == "group"] == []
