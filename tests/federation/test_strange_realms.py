"""Realms that no local user has confirmed: their names, budgets and restrictions."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.federation.conftest import Started
from tests.federation.hostile import Hostile, change, message, relayed
from tests.federation.hostile import key_of as key_of_server
from tests.federation.impostor import Impostor, key_of
from tests.federation.people import eventually, operate, realm, texts
from tests.system.bystanders import Chat, known
from ws_server.key import fingerprint


def tagged(name: str) -> str:
    """Return the local name of an impostor while it is unconfirmed."""
    public = key_of(name).public_key().public_bytes_raw()
    return f"{name}~{fingerprint(public)[:4]}"


async def test_a_stranger_waits_for_approval_under_a_name_with_a_piece_of_its_key(
    started: Started,
) -> None:
    server = started()
    ana = await known(server.url, "ana")
    for name in ("google.com", "ana", "beta"):
        await (await Impostor.linked(server.url, name, state="pending")).close()
        assert (await realm(ana, tagged(name)))["state"] == "pending"
        assert not await realm(ana, name)
        assert (await ana.say("send", to=f"x@{name}", text="x"))["code"] == "unknown_realm"
    said = await operate(server, "realm approve", name="beta")
    assert said[0].startswith("beta may link")
    assert (await realm(ana, "beta"))["state"] == "active"
    await ana.close()


async def test_only_admins_add_realms_where_the_server_stands_in_public(started: Started) -> None:
    server = started()
    await (await known(server.url, "first")).close()
    bob = await known(server.url, "bob")
    reply = await bob.say("addrealm", name="x", address="127.0.0.1", port=9)
    assert reply["code"] == "forbidden"
    await bob.close()


async def test_a_tunnel_to_a_server_on_trial_brings_strangers(started: Started) -> None:
    """A tunnel's connections also come from loopback, with a header that names the client."""
    server = started(trial=True)
    ana = await known(server.url, "ana")
    for number, header in enumerate(("X-Forwarded-For", "Forwarded", "Via", "CF-Connecting-IP")):
        headers = {header: "203.0.113.7"}
        socket = await connect(server.url, additional_headers=headers, compression=None)
        far = Impostor(socket, f"far{number}")
        await far.say_link()
        assert (await far.prove())["state"] == "pending", header
        await far.close()
        assert (await realm(ana, tagged(far.name)))["state"] == "pending"
    await (await Impostor.linked(server.url, "near")).close()
    assert (await realm(ana, "near"))["state"] == "active"
    await ana.close()


@pytest.mark.parametrize("dialect", ["json", "words", "spelling"])
async def test_an_answer_confirms_a_realm_and_its_old_name_goes_on_meaning_it(
    started: Started, dialect: str
) -> None:
    server = started("--realms", "open")
    carol = await known(server.url, "carol")
    hostile = await Hostile.ready(server, "evil")
    await hostile.send(message())
    name = tagged("evil")
    assert (await carol.event("message"))["from"] == f"eve@{name}"
    listed = (await carol.ask("listpc", realm=name))["conversations"]
    assert [chat["conversation"] for chat in listed] == [f"eve@{name}"]
    if dialect == "json":
        await carol.send("send", to=f"eve@{name}", text="who are you?")
    else:
        said = {"words": f"send eve@{name}", "spelling": f"sendpcrealm {name} eve"}[dialect]
        await carol.socket.send(f"{said} who are you?")
    assert (await hostile.hear("batch"))["items"][0]["text"] == "who are you?"
    if dialect == "json":
        assert (await carol.reply())["conversation"] == f"eve@{name}"
        while (told := await carol.event("realm")).get("was") is None:
            pass
        assert (told["realm"], told["was"]) == ("evil", name)
    else:
        await carol.close()
        carol = await known(server.url, "carol")
    await eventually(lambda: realm(carol, "evil"))
    await carol.ask("send", to=f"eve@{name}", text="old name")
    await carol.ask("send", to="eve@evil", text="new name")
    assert await texts(carol, "eve@evil") == ["hi", "who are you?", "old name", "new name"]
    assert await texts(carol, f"eve@{name}") == await texts(carol, "eve@evil")
    await hostile.send(message(id="e2", text="again"))
    while (event := await carol.event("message"))["text"] != "again":
        pass
    assert (event["from"], event["conversation"]) == ("eve@evil", "eve@evil")
    await hostile.close()
    await carol.close()


async def test_a_realm_that_is_added_takes_its_name_from_one_that_named_itself_so(
    started: Started, tmp_path: Path
) -> None:
    """Also on a trial server, which accepts claimed names."""
    server = started(trial=True)
    beta = started("--realm", "beta", trial=True)
    carol = await known(server.url, "carol")
    fay = await known(beta.url, "fay")
    hostile = await Hostile.ready(server, "beta")
    await hostile.send(message())
    assert (await carol.event("message"))["from"] == "eve@beta"
    added = await carol.ask("addrealm", name="beta", address="127.0.0.1", port=beta.port)
    assert added["link"] == "up"
    name = tagged("beta")
    assert (await realm(carol, name))["fingerprint"] == hostile.fingerprint
    await carol.ask("send", to="fay@beta", text="to the real one")
    while (event := await fay.event("message"))["text"] != "to the real one":
        pass
    await hostile.send(message(id="e2", text="still me"))
    while (event := await carol.event("message"))["text"] != "still me":
        pass
    assert event["from"] == f"eve@{name}"
    # eve@beta is a user of the real beta now.
    await carol.send("send", to="eve@beta", text="x")
    assert (await carol.reply())["code"] == "unknown_user"
    for client in (carol, fay, hostile):
        await client.close()


async def test_a_stranger_puts_nobody_into_a_group_and_has_none_hosted(started: Started) -> None:
    server = started("--realms", "open")
    carol = await known(server.url, "carol")
    hostile = await Hostile.ready(server, "evil")
    trap = [
        {"name": "eve", "owner": True},
        {"name": "carol", "key": key_of_server(server), "realm": "a"},
    ]
    acked = await hostile.send(change(1, trap), relayed(1, 1))
    assert acked is not None and acked["refused"] == {"2": "unknown_group"}
    for number, (what, more) in enumerate(
        [
            ("creategroup", {"name": "trap", "request": "r"}),
            ("invite", {"group": 1, "user": {"name": "carol"}}),
        ]
    ):
        await hostile.say(kind="ask", id=number, what=what, by="eve", **more)
        assert (await hostile.hear("answer"))["code"] == "forbidden"
    (waiting,) = (await carol.ask("listgroup"))["groups"]
    assert (waiting["group"], waiting["role"]) == (f"#1@{tagged('evil')}", "invited")
    refused = await carol.say("history", conversation=waiting["group"])
    assert refused["code"] == "unknown_group"
    # Even from a confirmed realm, an invitation without an inviter is pending.
    await hostile.send(message())
    await carol.send("send", to=f"eve@{tagged('evil')}", text="fine")
    await eventually(lambda: realm(carol, "evil"))
    await hostile.send(change(1, trap, version=2))
    (waiting,) = (await carol.ask("listgroup"))["groups"]
    assert (waiting["group"], waiting["role"]) == ("#1@evil", "invited")
    await hostile.close()
    await carol.close()


async def test_nobody_reads_in_the_name_of_a_person_here_what_that_person_has_not_written(
    started: Started,
) -> None:
    """Every peer learns a realm's key in the handshake, so the key in a roster proves nothing."""
    server = started(trial=True)
    carol, dave = await known(server.url, "carol"), await known(server.url, "dave")
    own = key_of_server(server)
    people: list[dict[str, Any]] = [{"name": "eve", "owner": True}]
    people += [{"name": name, "key": own, "realm": "a"} for name in ("carol", "dave")]
    hostile = await Hostile.ready(server, "evil")
    await hostile.send(change(1, people))
    as_carol = {"from": {"name": "carol", "key": own, "realm": "a"}}
    await hostile.send(relayed(1, 1, **as_carol, text="transfer the money"))
    while (event := await dave.event("message"))["seq"] != 1:
        pass
    assert event["from"] == "carol@evil"
    # Her own message is attributed to her, unchanged and once.
    posted = await carol.ask("sendg", group="#1@evil", text="as I wrote it")
    row = (await hostile.hear("batch"))["items"][-1]
    assert row["id"] == posted["message_id"]
    mine = {**as_carol, "id": row["id"]}
    await hostile.send(relayed(1, 2, **mine, text="as it never was"))
    await hostile.send(relayed(1, 3, **mine, text="as I wrote it"))
    await hostile.send(relayed(1, 4, **{**as_carol, "id": row["id"][:-1] + "x"}, text="y"))
    page = (await carol.ask("history", conversation="#1@evil"))["messages"]
    assert [(m["from"], m["text"]) for m in page] == [
        ("carol@evil", "transfer the money"),
        ("carol", "as I wrote it"),
        ("carol@evil", "as I wrote it"),
        ("carol@evil", "y"),
    ]
    for client in (carol, dave, hostile):
        await client.close()


async def test_a_post_is_nobodys_in_another_group_or_of_another_host(started: Started) -> None:
    server = started(trial=True)
    carol = await known(server.url, "carol")
    own = key_of_server(server)
    me = {"name": "carol", "key": own, "realm": "a"}
    people = [{"name": "eve", "owner": True}, me]
    honest, thief = [await Hostile.ready(server, name) for name in ("honest", "thief")]
    for host, group in ((honest, 1), (honest, 2), (thief, 1)):
        await host.send(change(group, people))
    posted = await carol.ask("sendg", group="#1@honest", text="mine")
    mine = {"id": posted["message_id"], "from": me, "text": "mine"}
    for host, group in ((honest, 2), (thief, 1), (honest, 1)):
        await host.send(relayed(group, 1, **mine))
    found = {}
    for group in ("#2@honest", "#1@thief", "#1@honest"):
        page = (await carol.ask("history", conversation=group))["messages"]
        found[group] = page[0]["from"]
    assert found == {"#2@honest": "carol@honest", "#1@thief": "carol@thief", "#1@honest": "carol"}
    for client in (carol, honest, thief):
        await client.close()


async def flood_beside(chat: Chat, flood: Any, seconds: float) -> float:
    """Return the factor by which a flood slows the median message."""

    async def median(until: float) -> float:
        chat.seconds.clear()
        while time.monotonic() < until:
            await chat.talk()
            await asyncio.sleep(0.01)
        return sorted(chat.seconds)[len(chat.seconds) // 2]

    quiet = await median(time.monotonic() + 1)
    flooding = asyncio.create_task(flood)
    await asyncio.sleep(0.2)
    loud = await median(time.monotonic() + seconds)
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    return loud / max(quiet, 0.004)


@pytest.mark.parametrize("kind", ["weather", "still", "copies", "answer", "later"])
async def test_frames_of_any_kind_that_say_nothing_are_not_felt_by_others(
    started: Started, kind: str
) -> None:
    server = started(trial=True)
    chat = Chat(*[await known(server.url, name) for name in ("carol", "dave")])
    hostile = await Hostile.ready(server, "noise")

    async def flood() -> None:
        try:
            while True:
                await hostile.say(kind=kind, id=1, sha256="0" * 64)
        except ConnectionClosed:
            return

    assert await flood_beside(chat, flood(), 3) < 4
    hostile.socket.transport.abort()  # the server reads the rest of the flood slowly
    for client in (chat.carol, chat.dave):
        await client.close()


async def test_a_stranger_invents_a_few_people_and_writes_a_little(started: Started) -> None:
    """Once a stranger could create 76,500 users in 6 s, and write 10.6 MiB/s of texts."""
    server = started(trial=True)
    chat = Chat(*[await known(server.url, name) for name in ("carol", "dave")])
    hostile = await Hostile.ready(server, "crowd")

    async def flood() -> None:
        for batch in range(1_000):
            rows = [
                message(**{"from": f"p{batch}-{n}", "id": f"{batch}-{n}", "text": "x" * 3_000})
                for n in range(50)
            ]
            await hostile.send(*rows)

    assert await flood_beside(chat, flood(), 4) < 4
    seen = await chat.carol.ask("listpc")
    people = [c for c in seen["conversations"] if c["conversation"].endswith("@crowd")]
    assert 1 <= len(people) <= 250
    for client in (chat.carol, chat.dave, hostile):
        await client.close()


async def test_a_realm_learns_few_names_of_people_here(started: Started) -> None:
    """By questions, by invitations, and by messages to guessed names."""
    server = started("--realms", "open")
    carol = await known(server.url, "carol")
    hostile = await Hostile.ready(server, "curious")
    codes = []
    for number in range(60):
        await hostile.say(kind="ask", id=number, what="user", name=f"guess{number}")
        codes.append((await hostile.hear("answer")).get("code"))
    assert codes[:30] == ["unknown_user"] * 30 and codes[31:] == ["rate_limited"] * 29
    # The limit applies before the lookup, so the reply does not depend on the name.
    await hostile.say(kind="ask", id=99, what="user", name="carol")
    assert (await hostile.hear("answer"))["code"] == "rate_limited"
    items = [{"number": n + 1, **message(id=f"g{n}", to=f"other{n}")} for n in range(20)]
    await hostile.say(kind="batch", items=items)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await hostile.frame()
    await hostile.close()
    await carol.close()


async def test_names_that_are_there_cost_a_realm_nothing(started: Started) -> None:
    server = started("--realms", "open")
    carol = await known(server.url, "carol")
    hostile = await Hostile.ready(server, "polite")
    for number in range(60):
        await hostile.say(kind="ask", id=number, what="user", name="carol")
        assert (await hostile.hear("answer"))["ok"] == {"name": "carol"}
    await hostile.close()
    await carol.close()
