"""A realm that sends arbitrary rows: a row is refused or the link ends; users are not affected.

See also test_impostors.py, for the frames of a link and its window.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from tests.federation.hostile import MIB, Hostile, change, key_of, memory, message, relayed
from tests.federation.people import eventually, realm, texts
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import Chat, known

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from(["", "#1", "carol", "carol@alpha", "a" * 33, "x" * 20_000, 0, 2**53, -1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def test_any_value_in_any_field_of_any_row_harms_nobody(server: RealServer) -> None:
    """Each row is stored or refused, or ends the link; the next valid row is stored."""
    own_key = key_of(server)
    people = [{"name": "eve", "owner": True}, {"name": "carol", "key": own_key, "realm": "a"}]
    rows = {
        "message": message(),
        "receipt": {"kind": "receipt", "from": "eve", "to": "carol", "received": 1, "read": 1},
        "post": {"kind": "post", "from": "eve", "group": 1, "id": "p", "time": 1, "text": "x"},
        "group": relayed(7, 1, **{"from": {"name": "x", "realm": "y", "key": own_key}}),
        "change": change(9, people),
    }
    cases = [(kind, name) for kind, row in rows.items() for name in row]
    cases += [("change", f"members.{name}") for name in ("name", "owner", "key", "realm")]
    cases += [("group", f"from.{name}") for name in ("name", "key", "realm")]

    with asyncio.Runner() as runner:
        both = Chat(*[runner.run(known(server.url, name)) for name in ("carol", "dave")])
        hostile = [runner.run(Hostile.ready(server, "fuzz"))]
        runner.run(hostile[0].send(change(7, people)))
        count = [0]

        async def feed(kind: str, name: str, value: Any) -> None:
            count[0] += 1
            outer, _, inner = name.partition(".")
            row = {**rows[kind], outer: value}
            if inner:
                one = {"name": "eve", "realm": "y", "key": own_key, "owner": False, inner: value}
                row[outer] = [one] if outer == "members" else one
            if kind == "change" and name != "version":
                row["version"] = count[0]
            hostile[0].pages = [value]
            if await hostile[0].send(row) is None:
                hostile[0] = await Hostile.ready(server, "fuzz")
            good = await hostile[0].send(message(id=f"good{count[0]}", to="dave"))
            assert good is not None and good["refused"] == {}

        @settings(
            max_examples=250,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=st.sampled_from(cases), value=JUNK)
        def every(case: tuple[str, str], value: Any) -> None:
            runner.run(feed(*case, value))

        every()
        runner.run(both.dave.settled())
        runner.run(both.talk())
        runner.run(both.carol.close())
        runner.run(both.dave.close())
        runner.run(hostile[0].close())
    assert "Traceback" not in server.log, server.log[server.log.find("Traceback") :][:3000]


async def test_a_realm_gets_nowhere_with_groups_that_are_not_its_own(
    server: RealServer, chat: Chat
) -> None:
    """It posts to groups without a member of its own, relays others' groups, and asks for them."""
    group = (await chat.carol.ask("creategroup", name="ours"))["group"]
    number = int(group[1:])
    hostile = await Hostile.ready(server, "outside")
    post = {"kind": "post", "from": "eve", "group": number, "id": "p1", "time": 1, "text": "x"}
    acked = await hostile.send(post, relayed(number, 1), {**post, "from": "carol", "id": "p2"})
    assert acked is not None
    assert set(acked["refused"].values()) == {"unknown_group"} and len(acked["refused"]) == 3
    for what, more in (
        ("history", {"after": 0, "limit": 10}),
        ("invite", {"by": "eve", "user": {"name": "eve"}}),
        ("invite", {"by": "carol", "user": {"name": "dave"}}),
        ("kick", {"by": "eve", "user": {"name": "carol"}}),
        ("leave", {"by": "carol"}),
    ):
        await hostile.say(kind="ask", id=1, what=what, group=number, **more)
        answer = await hostile.hear("answer")
        assert answer["code"] in ("unknown_group", "unknown_user"), (what, answer)
    assert await texts(chat.carol, group) == []
    members = (await chat.carol.ask("members", group=group))["members"]
    assert [m["user"] for m in members] == ["carol"]
    await hostile.close()


async def test_a_host_takes_no_post_that_waits_for_another_one(
    server: RealServer, chat: Chat
) -> None:
    """A host may use any message id; a queued post with the same id for another host stays."""
    own_key = key_of(server)
    people = [{"name": "eve", "owner": True}, {"name": "carol", "key": own_key, "realm": "a"}]
    honest, thief = [await Hostile.ready(server, name) for name in ("honest", "thief")]
    await honest.send(change(1, people))
    await thief.send(change(1, people))
    await honest.close()
    client = await RawClient.open(server.url)
    await client.ask("auth", user="carol", password="secret-carol")
    posted = await client.ask("sendg", group="#1@honest", text="mine", idempotency_key="k")
    carol = {"name": "carol", "key": own_key, "realm": "a"}
    acked = await thief.send(relayed(1, 1, id=posted["message_id"], **{"from": carol}))
    assert acked is not None
    waiting = (await client.ask("outbox"))["queued"]
    assert [row["message_id"] for row in waiting] == [posted["message_id"]]
    honest = await Hostile.ready(server, "honest")
    assert (await honest.hear("batch"))["items"][0]["text"] == "mine"
    for one in (client, honest, thief):
        await one.close()


async def test_who_is_out_of_a_group_already_is_told_so_and_not_that_a_realm_refuses(
    server: RealServer, chat: Chat
) -> None:
    host = await Hostile.ready(server, "elsewhere")
    carol = {"name": "carol", "key": key_of(server), "realm": "a"}
    await host.send(change(1, [{"name": "eve", "owner": True}, carol]))
    client = await RawClient.open(server.url)
    await client.ask("auth", user="carol", password="secret-carol")
    await client.send("sendg", group="#1@elsewhere", text="late")
    row = (await host.hear("batch"))["items"][-1]
    await host.say(kind="ack", up_to=row["number"], refused={str(row["number"]): "unknown_group"})
    refused = await client.reply()
    assert refused["code"] == "unknown_group"
    assert refused["message"] == "You are not in #1@elsewhere any more"
    for one in (client, host):
        await one.close()


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([[]], id="empty"),
        pytest.param([[relayed(3, 1)]], id="the-same-again"),
        pytest.param([[relayed(3, 2), relayed(3, 1)]], id="backwards"),
        pytest.param([[relayed(3, 999)]], id="with-a-gap"),
        pytest.param([[relayed(4, 999)]], id="of-another-group"),
        pytest.param(["x"], id="noise"),
    ],
)
async def test_history_that_fills_no_gap_ends_the_link(
    server: RealServer, chat: Chat, pages: list[Any], request: pytest.FixtureRequest
) -> None:
    people = [
        {"name": "eve", "owner": True},
        {"name": "carol", "key": key_of(server), "realm": "a"},
    ]
    hostile = await Hostile.ready(server, f"gap-{request.node.callspec.id}"[:32])
    await hostile.send(change(3, people))
    hostile.pages = pages
    assert await hostile.send(relayed(3, 1_000)) is None
    await chat.talk()


async def test_history_without_an_end_costs_others_nothing(server: RealServer, chat: Chat) -> None:
    """The gap is as large as a number can be; pages arrive as fast as they are processed."""
    people = [
        {"name": "eve", "owner": True},
        {"name": "carol", "key": key_of(server), "realm": "a"},
    ]
    hostile = await Hostile.ready(server, "endless")
    await hostile.send(change(5, people))
    await hostile.say(kind="batch", items=[{"number": 2, **relayed(5, 2**53 - 1)}])
    before = memory(server)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        asked = await hostile.hear("ask")
        after = asked["after"]
        page = [relayed(5, seq, text="x" * 1_000) for seq in range(after + 1, after + 201)]
        await hostile.say(kind="answer", id=asked["id"], ok={"messages": page})
        await chat.talk()
    assert memory(server) - before < 30 * MIB
    await hostile.close()
    chat.assert_unharmed()


async def test_questions_without_number_are_refused_and_bounded(
    server: RealServer, chat: Chat
) -> None:
    """A realm that asks and does not read is disconnected when 4 MiB of answers wait."""
    hostile = await Hostile.ready(server, "curious")
    hostile.socket.transport.pause_reading()
    before = memory(server)
    with pytest.raises((ConnectionClosed, TimeoutError)):
        async with asyncio.timeout(60):
            for number in range(1_000_000):
                await hostile.say(kind="ask", id=number, what="user", name="x" * 30)
                if number % 2_000 == 0:
                    await chat.talk()
    assert memory(server) - before < 60 * MIB
    hostile.socket.transport.abort()
    chat.assert_unharmed()


async def test_answers_nobody_asked_for_are_passed_over(server: RealServer, chat: Chat) -> None:
    hostile = await Hostile.ready(server, "talkative")
    for id in (0, 1, 7, -1, 2**60, "1", None, [], {}, True, 1.0):
        await hostile.say(kind="answer", id=id, ok={"roster": {}})
        await hostile.say(kind="answer", id=id, code="internal", message={})
    acked = await hostile.send(message())
    assert acked is not None and acked["refused"] == {}
    await hostile.close()


async def test_who_answers_nothing_is_unreachable_and_holds_up_nobody(
    server: RealServer, chat: Chat
) -> None:
    """Contract 6: the command fails after 10 s at most; later commands are not delayed."""
    hostile = await Hostile.ready(server, "mute")
    await eventually(lambda: realm(chat.carol, "mute"))
    label = await chat.carol.send("creategroup", name="x", realm="mute")
    for _ in range(20):
        await chat.talk()
    assert (await hostile.hear("ask"))["what"] == "creategroup"
    reply = await chat.carol.reply()
    assert (reply["id"], reply["code"]) == (label, "realm_unreachable")
    chat.assert_unharmed()
    await hostile.close()


async def test_huge_rosters_are_refused_or_taken_without_harm(
    server: RealServer, chat: Chat
) -> None:
    hostile = await Hostile.ready(server, "crowded")
    people: list[dict[str, Any]] = [{"name": "eve", "owner": True}]
    people.append({"name": "carol", "key": key_of(server), "realm": "a"})
    crowd = [*people, *({"name": f"member-number-{n}"} for n in range(4_998))]
    acked = await hostile.send(change(6, [*crowd, {"name": "one-too-many"}]))
    assert acked is not None and list(acked["refused"].values()) == ["bad_arguments"]
    before = memory(server)

    async def flood() -> None:
        for version in range(1, 9):
            acked = await hostile.send(change(6, crowd, version=version))
            assert acked is not None and acked["refused"] == {}

    flooding = asyncio.create_task(flood())
    while not flooding.done():
        await chat.talk()
        await asyncio.sleep(0.05)
    await flooding
    assert memory(server) - before < 60 * MIB
    assert max(chat.seconds) < 3, chat.seconds
    await hostile.close()
