"""Attacks by single frames of a hostile realm, each of which once succeeded."""

from __future__ import annotations

import asyncio

import pytest

from tests.federation.hostile import (
    Hostile,
    change,
    key_of,
    message,
    relayed,
)
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import Chat


async def test_a_question_about_nobody_refuses_no_other_peoples_messages(
    server: RealServer, chat: Chat
) -> None:
    """The question was parsed inside the transaction, and the whole batch failed as `internal`."""
    hostile = await Hostile.ready(server, "asking")
    for number in range(200):
        what = ("invite", "kick")[number % 2]
        await hostile.say(kind="ask", id=number, what=what, by="eve", group=1, user=7)
        if number % 10 == 0:
            await chat.talk()
    for _ in range(200):
        assert (await hostile.hear("answer"))["code"] == "bad_arguments"
    chat.assert_unharmed()
    await hostile.close()


async def test_a_group_has_a_number_that_its_members_can_write(
    server: RealServer, chat: Chat
) -> None:
    """With a longer number, members could neither sync nor leave."""
    hostile = await Hostile.ready(server, "large")
    people = [
        {"name": "eve", "owner": True},
        {"name": "carol", "key": key_of(server), "realm": "a"},
    ]
    acked = await hostile.send(change(10**15, people), change(10**15 - 1, people))
    assert acked is not None
    assert list(acked["refused"].values()) == ["bad_arguments"]
    groups = [g["group"] for g in (await chat.carol.ask("listgroup"))["groups"]]
    assert f"#{10**15 - 1}@large" in groups
    await chat.carol.ask("sync", have={f"#{10**15 - 1}@large": 0})
    await hostile.close()


async def test_a_host_that_goes_back_behind_a_post_gets_it_again(
    server: RealServer, chat: Chat
) -> None:
    """The row of a post that had a seq and lost it could not be read any more."""
    own_key = key_of(server)
    carol = {"name": "carol", "key": own_key, "realm": "a"}
    host = await Hostile.ready(server, "forgetful")
    await host.send(change(1, [{"name": "eve", "owner": True}, carol]))
    client = await RawClient.open(server.url)
    await client.ask("auth", user="carol", password="secret-carol")
    await client.send("sendg", group="#1@forgetful", text="mine", idempotency_key="f")
    row = (await host.hear("batch"))["items"][-1]
    acked = await host.send(relayed(1, 1, id=row["id"], text="mine", **{"from": carol}))
    assert acked is not None and acked["refused"] == {}
    placed = await client.reply()
    assert (placed["state"], placed["seq"]) == ("delivered", 1)
    await host.close()
    again = await Hostile.ready(server, "forgetful")
    asked = await again.hear("ask")
    assert asked["what"] == "groups"
    listed = [{"group": 1, "version": 1, "last_seq": 0}]
    await again.say(kind="answer", id=asked["id"], ok={"groups": listed, "more": False})
    asked = await again.hear("ask")
    assert asked["what"] == "roster"
    told = change(1, [{"name": "eve", "owner": True}, carol])
    await again.say(kind="answer", id=asked["id"], ok={"roster": told})
    await again.close()
    again = await Hostile.ready(server, "forgetful")
    async with asyncio.timeout(20):
        found = (await again.hear("batch"))["items"]
    assert [(item["kind"], item["id"], item["text"]) for item in found] == [
        ("post", row["id"], "mine")
    ]
    for one in (client, again):
        await one.close()


async def test_more_rows_than_the_window_end_the_link(server: RealServer, chat: Chat) -> None:
    """Thousands of receipts in one frame delayed all users' messages for seconds."""
    hostile = await Hostile.ready(server, "eager")
    receipt = {"kind": "receipt", "from": "eve", "to": "carol", "received": 0, "read": 0}
    assert await hostile.send(*[receipt] * 512) is not None
    assert await hostile.send(*[receipt] * 513) is None
    await chat.talk()
    chat.assert_unharmed()


async def test_who_has_left_learns_nothing_by_asking_for_the_same_group_again(
    server: RealServer, chat: Chat
) -> None:
    hostile = await Hostile.ready(server, "again")

    async def asked(what: str, **body: object) -> dict[str, object]:
        await hostile.say(kind="ask", id=1, what=what, by="eve", **body)
        return dict(await hostile.hear("answer"))

    made = await asked("creategroup", name="g", request="r1")
    roster = made["ok"]["roster"]  # type: ignore[index]
    assert "ok" in await asked("creategroup", name="g", request="r1")
    await asked("invite", group=roster["group"], user={"name": "dave"})
    await asked("leave", group=roster["group"])
    assert (await asked("creategroup", name="g", request="r1"))["code"] == "unknown_group"
    await hostile.close()


@pytest.mark.parametrize("field", ["what", "name", "id"])
async def test_nested_values_are_refused_and_no_bug(
    server: RealServer, chat: Chat, field: str
) -> None:
    """Printing or returning nested values exceeded Python's recursion limit."""
    hostile = await Hostile.ready(server, f"deep-{field}")
    assert hostile.seal is not None
    deep = b"[" * 900 + b"]" * 900
    fields = {b"id": b"1", b"what": b'"user"', b"name": b'"carol"', field.encode(): deep}
    body = b",".join(b'"%b":%b' % pair for pair in fields.items())
    frame = hostile.seal.close(b'{"kind":"ask",' + body + b"}").decode()
    await hostile.socket.send(frame)
    if field != "id":
        assert (await hostile.hear("answer"))["code"] == "bad_arguments"
        acked = await hostile.send(message(id="a b"), message(id="\x1b[2J"))
        assert acked is not None and set(acked["refused"].values()) == {"bad_arguments"}
    await hostile.close()


async def test_messages_since_a_user_joined_are_new_to_them(server: RealServer, chat: Chat) -> None:
    """The link had broken in between, and the requested roster contained only the final state."""
    own = {"key": key_of(server), "realm": "a"}
    carol, dave = {"name": "carol", **own}, {"name": "dave", **own}
    eve = {"name": "eve", "owner": True}
    host = await Hostile.ready(server, "broken")
    assert await host.send(change(1, [eve, carol]), relayed(1, 1)) is not None
    await host.close()
    again = await Hostile.ready(server, "broken")
    told = change(1, [eve, carol, {**dave, "joined": 2}], version=2, last_seq=4)
    answers = {
        "groups": {"groups": [{"group": 1, "version": 2, "last_seq": 4}], "more": False},
        "roster": {"roster": told},
        "history": {"messages": [relayed(1, seq) for seq in (2, 3, 4)]},
    }
    for what in ("groups", "roster", "history"):
        asked = await again.hear("ask")
        assert asked["what"] == what
        await again.say(kind="answer", id=asked["id"], ok=answers[what])
    pushed = []
    while not pushed or pushed[-1] != 4:
        event = await chat.dave.event("message")
        if event["conversation"] == "#1@broken":
            pushed.append(event["seq"])
    assert pushed == [3, 4]
    groups = (await chat.dave.ask("listgroup"))["groups"]
    assert [(g["last_seq"], g["unread"]) for g in groups if g["group"] == "#1@broken"] == [(4, 2)]
    await again.close()
