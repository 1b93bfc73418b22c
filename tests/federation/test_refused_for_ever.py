"""Permanent refusal of a message: its sender is notified, and other messages proceed."""

from __future__ import annotations

from typing import Any

from tests.federation.conftest import Enter, Start
from tests.federation.impostor import Impostor
from tests.federation.people import join, link_is
from tests.rawclient import RawClient


async def rows_until(there: Impostor, text: str) -> list[dict[str, Any]]:
    """Return the rows that arrive over a link, up to the message with a text."""
    found: list[dict[str, Any]] = []
    while not found or found[-1].get("text") != text:
        found += (await there.hear("batch"))["items"]
    return found


async def fates(client: RawClient, *message_ids: str) -> list[tuple[str, str | None]]:
    """Return state and code of the `delivery` events of queued messages, in any order."""
    told = [await client.event("delivery") for _ in message_ids]
    found = {event["message_id"]: (event["state"], event.get("code")) for event in told}
    return [found[message_id] for message_id in message_ids]


async def states(client: RawClient, conversation: str) -> list[tuple[str, str]]:
    """Return the texts of a conversation with their states."""
    found = (await client.ask("history", conversation=conversation))["messages"]
    return [(message["text"], message.get("state", "")) for message in found]


async def test_a_message_refused_for_ever_is_told_and_stops_nothing(
    start: Start, enter: Enter
) -> None:
    """Later messages arrive; history and a repeat report `refused`, also after a restart."""
    server = await start("alpha")
    alice = await enter(server, "alice")
    there = await Impostor.linked(server.url, "delta")
    await there.open()
    await link_is(alice, "delta", "up")
    for text in ("good", "poison", "better"):
        await alice.send("send", to="dora@delta", text=text, idempotency_key=text)
    found = await rows_until(there, "better")
    bad = str(next(row["number"] for row in found if row["text"] == "poison"))
    await there.say(kind="ack", up_to=found[-1]["number"], refused={bad: "too_large"})
    replies = {}
    for _ in range(3):
        reply = await alice.reply()
        replies[reply["id"]] = (reply["status"], reply.get("code", reply.get("state")))
    assert sorted(replies.values()) == [
        ("ERROR", "too_large"),
        ("OK", "delivered"),
        ("OK", "delivered"),
    ]
    wanted = [("good", "delivered"), ("poison", "refused"), ("better", "delivered")]
    assert await states(alice, "dora@delta") == wanted
    assert (await alice.ask("outbox"))["queued"] == []
    again = await alice.ask("send", to="dora@delta", text="poison", idempotency_key="poison")
    assert (again["state"], again["duplicate"]) == ("refused", True)
    await there.close()
    server.kill()
    server.start()
    alice = await enter(server, "alice", register=False)
    assert await states(alice, "dora@delta") == wanted
    there = await Impostor.linked(server.url, "delta")
    await there.open("log-1", found[-1]["number"])
    await alice.send("send", to="dora@delta", text="after")
    assert [row["text"] for row in await rows_until(there, "after")] == ["after"]
    await there.close()


async def test_nobody_of_that_name_is_told_at_once_or_when_the_message_has_arrived(
    start: Start, enter: Enter
) -> None:
    alpha, beta = await start("alpha"), await start("beta")
    alice = await enter(alpha, "alice")
    bob = await enter(beta, "bob")
    await join(alice, "beta", beta)
    assert (await alice.say("send", to="nobody@beta", text="x"))["code"] == "unknown_user"
    beta.kill()
    await link_is(alice, "beta", "down")
    lost = await alice.ask("send", to="nobody@beta", text="y")
    found = await alice.ask("send", to="bob@beta", text="z")
    assert (lost["state"], found["state"]) == ("queued", "queued")
    beta.start()
    told = await fates(alice, lost["message_id"], found["message_id"])
    assert told == [("refused", "unknown_user"), ("delivered", None)]
    assert await states(alice, "nobody@beta") == [("x", "refused"), ("y", "refused")]
    bob = await enter(beta, "bob", register=False)
    assert [m for m, _ in await states(bob, "alice@alpha")] == ["z"]


async def test_what_was_taken_or_refused_is_told_though_the_link_ended_before_its_ack(
    start: Start, enter: Enter
) -> None:
    """The next link's `open` contains the peer's last stored number and its refusals."""
    server = await start("alpha")
    alice = await enter(server, "alice")
    there = await Impostor.linked(server.url, "delta")
    await there.open()
    await link_is(alice, "delta", "up")
    await alice.send("send", to="dora@delta", text="good")
    await alice.send("send", to="dora@delta", text="poison")
    found = await rows_until(there, "poison")
    await there.close()
    good, poison = [await alice.reply() for _ in range(2)]
    assert (good["state"], poison["state"]) == ("queued", "queued")
    there = await Impostor.linked(server.url, "delta")
    own = await there.hear("open")
    log, last = own["log"], found[-1]["number"]
    await there.say(
        kind="open",
        log="log-1",
        have={"log": log, "number": last},
        refused={str(last): "too_large", "0": "x", "9" * 5000: "x", "-1": "x", "²": "x"},
    )
    told = await fates(alice, good["message_id"], poison["message_id"])
    assert told == [("delivered", None), ("refused", "too_large")]
    assert await states(alice, "dora@delta") == [("good", "delivered"), ("poison", "refused")]
    await there.close()


async def test_a_realm_tells_again_what_it_refused_when_a_link_begins(
    start: Start, enter: Enter
) -> None:
    """While the peer's history is the same, and also after a restart."""
    server = await start("alpha")
    await enter(server, "alice")
    there = await Impostor.linked(server.url, "delta")
    await there.open("log-1")
    items = [
        {
            **{"number": number, "kind": "message", "id": f"m{number}", "from": "dora"},
            **{"to": to, "seq": number, "time": 1, "text": "hi"},
        }
        for number, to in ((1, "alice"), (2, "nobody"), (3, "alice"))
    ]
    await there.say(kind="batch", items=items)
    assert (await there.hear("ack"))["refused"] == {"2": "unknown_user"}
    await there.close()
    server.kill()
    server.start()
    there = await Impostor.linked(server.url, "delta")
    own = await there.open("log-1")
    assert own["have"] == {"log": "log-1", "number": 3}
    assert own["refused"] == {"2": "unknown_user"}
    await there.close()
    there = await Impostor.linked(server.url, "delta")
    await there.open("log-2")
    await there.say(kind="batch", items=items[:1])
    assert (await there.hear("ack")) == {"kind": "ack", "up_to": 1, "refused": {}}
    await there.close()
    there = await Impostor.linked(server.url, "delta")
    assert (await there.open("log-2"))["refused"] == {}
    await there.close()
