"""Lost connections: no gaps, no duplicates, and no loss of answered messages."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from shared.client import NotSent, Offline, Online, OutcomeUnknown, connection
from tests.client.people import People, Told, new_name
from tests.proxy import Proxy
from tests.realserver import RealServer
from ws_server.net.listener import PING_INTERVAL

SEED = int(os.environ.get("CHAT_BREAK_SEED", "0")) or time.time_ns() % 1_000_000
SECONDS = float(os.environ.get("CHAT_BREAK_SECONDS", "6"))
NAMES = ("alice", "bob", "carol")


async def a_group(everybody: list[Told]) -> str:
    """Create a group of all clients and wait until all know it."""
    owner, *others = everybody
    group = (await owner.client.creategroup("team")).group
    for other in others:
        await owner.client.invitegroup(group, other.client.user)
    return group


async def chatter(person: Told, places: list[str], chance: random.Random, until: float) -> None:
    """Send texts to random conversations; an uncertain outcome fails the test."""
    count = 0
    while time.monotonic() < until:
        sends = []
        for _ in range(chance.randint(1, 8)):
            count += 1
            text = f"{person.client.user} {count} " + "x" * chance.choice([1, 100, 4000])
            sends.append(person.send(chance.choice(places), text))
        await asyncio.gather(*sends)
        await asyncio.sleep(chance.random() * 0.05)


async def test_any_number_of_cuts_leaves_neither_holes_nor_doubles(tmp_path: Path) -> None:
    print(f"CHAT_BREAK_SEED={SEED}")
    chance = random.Random(SEED)
    server = RealServer(tmp_path)
    server.start()
    try:
        async with Proxy(server.port) as proxy, People(proxy.url) as people:
            everybody = [await people.join(name) for name in NAMES]
            second = await people.join("alice")
            group = await a_group(everybody)
            until = time.monotonic() + SECONDS
            talking = [
                asyncio.create_task(
                    chatter(
                        person,
                        [group, *(name for name in NAMES if name != person.client.user)],
                        random.Random(chance.random()),
                        until,
                    )
                )
                for person in [*everybody, second]
            ]
            while time.monotonic() < until:
                await asyncio.sleep(chance.random() * 0.6)
                await disturb(proxy, chance)
            await proxy.accept()
            proxy.delay = 0
            await asyncio.gather(*talking)
            for person in [*everybody, second]:
                await person.all_told()
            breaks = sum(len(person.of(Offline)) for person in everybody)
            sent = sum(len(person.sent) for person in everybody)
            print(f"{breaks} breaks, {sent} messages")
            assert breaks and sent
    finally:
        server.kill()


async def test_a_call_on_a_connection_that_has_just_ended_goes_out_on_the_next(
    people: People,
) -> None:
    """The library knew of the end before the client, and the call failed with the library's
    error."""
    name = new_name()
    client = await people.sign_in(name)
    ending = client._exchange._link.connection
    assert ending is not None
    ending.protocol.receive_eof()
    sending = asyncio.create_task(client.send(name, "x"))
    await asyncio.sleep(0)
    ending.transport.abort()
    assert (await sending).seq == 1


async def disturb(proxy: Proxy, chance: random.Random) -> None:
    """Disturb the network in one way."""
    what = chance.choice(["cut", "up", "down", "refuse", "slow"])
    if what == "cut":
        proxy.cut()
    elif what == "up":
        proxy.cut_after(up=chance.randint(0, 3000))
    elif what == "down":
        proxy.cut_after(down=chance.randint(0, 3000))
    elif what == "refuse":
        await proxy.refuse()
        proxy.cut()
        await asyncio.sleep(chance.random() * 0.3)
        await proxy.accept()
    else:
        proxy.delay = chance.random() * 0.05


async def test_a_server_killed_under_its_clients_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    server = RealServer(tmp_path)
    server.start()
    try:
        async with People(server.url) as people:
            everybody = [await people.join(name) for name in NAMES]
            group = await a_group(everybody)
            chance = random.Random(SEED)
            until = time.monotonic() + SECONDS
            talking = [
                asyncio.create_task(chatter(p, [group, *NAMES], random.Random(n), until))
                for n, p in enumerate(everybody)
            ]
            for _ in range(3):
                await asyncio.sleep(chance.random() * SECONDS / 4)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await asyncio.gather(*talking)
            for person in everybody:
                await person.all_told()
                assert len(person.of(Online)) >= 2
    finally:
        server.kill()


async def test_a_half_open_connection_is_noticed_and_the_call_still_answered(
    people: People, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(connection, "URGENT_SILENCE_SECONDS", 1.0)
    alice = await people.join(new_name(), proxy.url)
    proxy.black_hole = True
    begun = time.monotonic()
    sending = asyncio.create_task(alice.send(alice.client.user, "note"))
    await alice.until(lambda: alice.of(Offline), 5)
    proxy.cut()
    proxy.black_hole = False
    await sending
    assert time.monotonic() - begun < 5
    await alice.all_told()


async def test_a_silent_server_is_noticed_also_when_nobody_waits(
    people: People, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 1.0)
    alice = await people.join(new_name(), proxy.url)
    proxy.black_hole = True
    await alice.until(lambda: alice.of(Offline), 5)
    assert "said nothing" in alice.of(Offline)[0].reason


def test_the_bounds_of_silence_are_above_the_servers_pings() -> None:
    assert connection.SILENCE_SECONDS > 2 * PING_INTERVAL


async def test_sends_are_repeated_in_order_under_their_keys(people: People, proxy: Proxy) -> None:
    """First the sent ones, then those called meanwhile; each is stored once."""
    bob = await people.join(new_name())
    alice = await people.join(new_name(), proxy.url)
    to = bob.client.user
    await proxy.refuse()
    proxy.cut_after(down=0)  # the server gets the commands, but no reply comes back
    sends = [asyncio.create_task(alice.send(to, f"{n}")) for n in range(50)]
    await alice.until(lambda: alice.of(Offline))
    sends += [asyncio.create_task(alice.send(to, f"{n}")) for n in range(50, 60)]
    await asyncio.sleep(0)
    await proxy.accept()
    await asyncio.gather(*sends)
    assert [seq for _, seq, _ in alice.sent] == list(range(1, 61))
    await bob.until(lambda: len(bob.messages) == 60)
    assert bob.texts == [f"{n}" for n in range(60)]
    await alice.all_told()


async def test_what_must_not_be_repeated_raises_that_its_outcome_is_unknown(
    people: People, proxy: Proxy
) -> None:
    alice = await people.sign_in(new_name(), proxy.url)
    proxy.cut_after(down=0)
    with pytest.raises(OutcomeUnknown, match="creategroup"):
        await alice.creategroup("once")
    groups = await alice.listgroup()  # repeatable ones wait for the new connection
    assert len(groups.groups) <= 1


async def test_a_command_without_a_connection_is_not_sent_after_its_time(
    people: People, proxy: Proxy
) -> None:
    alice = await people.join(new_name(), proxy.url, timeout=0.5)
    await proxy.refuse()
    proxy.cut()
    await alice.until(lambda: alice.of(Offline))
    with pytest.raises(NotSent, match="no connection"):
        await alice.client.send(alice.client.user, "late")
    await proxy.accept()
    await alice.until(lambda: len(alice.of(Online)) == 2)
    assert (await alice.client.history(alice.client.user)).messages == []
