"""Places for pending realms are few; no realm may exclude others from them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from websockets.asyncio.client import connect

from tests.federation.conftest import Started
from tests.federation.impostor import Impostor, Refused
from tests.federation.people import operate
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import known
from ws_server.store.federation.realm_trust import MAX_MET, MAX_PENDING


async def dial(server: RealServer, name: str, address: str) -> str:
    """Dial in as an unknown realm from an address, and return its state or the refusal's code."""
    headers = {"X-Forwarded-For": address}
    socket = await connect(server.url, additional_headers=headers, compression=None)
    realm = Impostor(socket, name)
    try:
        await realm.say_link()
        return str((await realm.prove())["state"])
    except Refused as no:
        return str(no).partition(":")[0]
    finally:
        await realm.close()


async def waiting(ana: RawClient) -> list[str]:
    """Return the names that pending realms gave themselves."""
    listed: list[dict[str, Any]] = (await ana.ask("listrealm"))["realms"]
    return [one["realm"].partition("~")[0] for one in listed if one["state"] == "pending"]


async def test_five_networks_of_one_site_do_not_take_all_places(started: Started) -> None:
    server = started("--trusted-proxies", "127.0.0.1")
    ana = await known(server.url, "ana")
    for where in ("2001:db8:7:{}::1", "192.0.2.{}"):
        states = [
            await dial(server, f"x{number}-{where[0]}", where.format(number % 5))
            for number in range(MAX_PENDING)
        ]
        assert (states.count("pending"), states.count("rate_limited")) == (20, 30)
    assert len(await waiting(ana)) == 40
    await ana.close()


async def test_a_flood_of_unknown_realms_keeps_nobody_out_and_pushes_nobody_out(
    started: Started,
) -> None:
    """Six sites fill all places and continue; two realms elsewhere get a place, and keep it."""
    server = started("--trusted-proxies", "127.0.0.1")
    ana = await known(server.url, "ana")
    assert await dial(server, "early", "198.51.100.1") == "pending"
    floods = [
        (f"s{site}-{n}", f"2001:db8:{site}:{n // 10}::{n}") for site in range(6) for n in range(20)
    ]
    floods.sort(key=lambda flood: int(flood[0].partition("-")[2]))
    for number, (name, address) in enumerate(floods):
        assert await dial(server, name, address) == "pending"
        if number == 80:
            assert await dial(server, "late", "203.0.113.1") == "pending"
    there = await waiting(ana)
    assert len(there) == MAX_PENDING
    assert {"early", "late"} <= set(there)
    said = await operate(server, "realm approve", name="late")
    assert said[0].startswith("late may link")
    assert await dial(server, "late", "203.0.113.1") == "active"
    assert "early" in await waiting(ana)
    await ana.close()


def meet(server: RealServer, count: int) -> None:
    """Let a stopped server know so many strangers, half of them of one network."""
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        database.executemany(
            "INSERT INTO realms (name, key, public_key, own_name, tls, state, received,"
            " received_log, refusals, confirmed, vouched, created, met_from)"
            " VALUES (?, ?, ?, ?, 0, 'active', 0, '', '{}', 0, 0, ?, ?)",
            [
                (f"r{n}~abcd", f"r{n}~abcd", n.to_bytes(32), f"r{n}", n, f"10.{n % 2 and n}.0.0/24")
                for n in range(count)
            ],
        )
        database.commit()


async def test_a_thousand_strangers_that_were_met_keep_nobody_out_of_an_open_realm(
    started: Started,
) -> None:
    """Newcomers were refused for ever. The oldest idle stranger of the largest network goes."""
    server = started("--realms", "open")
    ana = await known(server.url, "ana")
    friend = await Impostor.linked(server.url, "friend")
    await friend.close()
    await ana.ask("send", to=f"rob@friend~{friend.fingerprint[:4]}", text="hi")
    await ana.close()
    server.stop()
    meet(server, MAX_MET - 1)
    server.start()
    ana = await known(server.url, "ana")
    new = await Impostor.linked(server.url, "new")
    names = {one["realm"].partition("~")[0] for one in (await ana.ask("listrealm"))["realms"]}
    assert len(names) == MAX_MET and {"new", "friend", "r1", "r2"} <= names and "r0" not in names
    # Who is linked stays; who has something to do with somebody here, too.
    assert await dial(server, "newer", "192.0.2.1") == "active"
    names = {one["realm"].partition("~")[0] for one in (await ana.ask("listrealm"))["realms"]}
    assert {"new", "newer", "friend", "r1"} <= names and "r2" not in names
    await new.close()
    await ana.close()


async def test_who_made_way_may_come_again_also_after_a_restart(started: Started) -> None:
    server = started("--trusted-proxies", "127.0.0.1")
    ana = await known(server.url, "ana")
    addresses = [f"2001:db8:{number}::1" for number in range(MAX_PENDING + 1)]
    for number, address in enumerate(addresses[:-1]):
        assert await dial(server, f"r{number}", address) == "pending"
    await ana.close()
    server.stop()
    server.start()
    ana = await known(server.url, "ana")
    assert await dial(server, "new", addresses[-1]) == "pending"
    assert "r0" not in await waiting(ana)
    assert await dial(server, "r0", addresses[0]) == "pending"
    there = await waiting(ana)
    assert len(there) == MAX_PENDING and {"r0", "new"} <= set(there) and "r1" not in there
    # The origin is stored: of two realms from one site, one is evicted before all others.
    assert await dial(server, "r2-neighbour", addresses[2]) == "pending"
    there = await waiting(ana)
    assert "r2" not in there and {"r2-neighbour", "r3"} <= set(there)
    await ana.close()
