"""Addresses that `addrealm` dials, and what its reply reveals of them."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.federation.conftest import Started
from tests.rawclient import RawClient
from tests.system.bystanders import known


async def test_addrealm_tells_nothing_of_what_listens_where(started: Started) -> None:
    """An open port, a closed port, a forbidden address: the same reply after the same time."""
    server = started("--realms", "open", "--public")
    clients = [await known(server.url, f"p{n}") for n in range(4)]
    silent = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]

    async def tried(client: RawClient, address: str, port: int) -> tuple[str, float]:
        begun = time.monotonic()
        reply = await client.say("addrealm", name="x", address=address, port=port)
        assert reply["code"] == "realm_unreachable"
        return reply["message"].replace(f"{address} {port}", "it"), time.monotonic() - begun

    found = await asyncio.gather(
        tried(clients[0], "127.0.0.1", port),
        tried(clients[1], "127.0.0.1", 1),
        tried(clients[2], "no such name", 1),
        tried(clients[3], "nowhere.invalid", 1),
    )
    assert len({said for said, _ in found}) == 1
    times = [seconds for _, seconds in found]
    assert max(times) - min(times) < 1 and min(times) > 4, times
    for client in clients:
        await client.close()
    silent.close()


@pytest.mark.parametrize(
    "options", [("--host", "0.0.0.0"), ("--public",)], ids=["on all addresses", "in public"]
)
async def test_realms_inside_are_added_only_by_servers_that_stand_inside(
    started: Started, options: tuple[str, ...]
) -> None:
    server, inside = started("--realms", "open", *options), started(trial=True)
    ana = await known(f"ws://127.0.0.1:{server.port}", "ana")
    reply = await ana.say("addrealm", name="x", address="127.0.0.1", port=inside.port)
    assert reply["code"] == "realm_unreachable"
    bea = await known(inside.url, "bea")
    assert (await bea.say("addrealm", name="y", address="127.0.0.1", port=server.port))["status"]
    await ana.close()
    await bea.close()


async def test_addrealm_is_counted_for_the_address_too(started: Started) -> None:
    """Accounts cost nothing, so one address once had ten attempts for each account."""
    server = started("--realms", "open", "--public")
    people = [await known(server.url, f"p{n}") for n in range(12)]

    async def code(person: RawClient) -> str:
        reply = await person.say("addrealm", name="x", address="127.0.0.1", port=1)
        return str(reply["code"])

    codes = await asyncio.gather(*(code(person) for person in people))
    assert sorted(set(codes)) == ["rate_limited", "realm_unreachable"]
    assert codes.count("rate_limited") == 2
    for person in people:
        await person.close()
