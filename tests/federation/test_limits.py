"""Bounds on the rows queued for a realm, and on the rows that a realm may send."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.federation.conftest import Enter, Start
from tests.federation.handmade import HandmadeRealm
from tests.federation.people import eventually, idle, link_is, operate, share_group, texts
from tests.world import World
from ws_server import realm
from ws_server.federation.handshake.dialled_connection import Dialled
from ws_server.limits import RateLimits
from ws_server.store.federation import outbox, realms
from ws_server.store.federation.realms import KnownRealm


async def test_too_much_for_a_realm_that_is_away_is_refused_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realm, "MAX_WAITING_ROWS", 3)
    monkeypatch.setattr(outbox, "MAX_WAITING_ROWS", 3)
    async with World(tmp_path) as world:
        await world.add_users("ana", "ben")
        known = await world.realm.journal.write(
            lambda tx, now: realms.add(
                tx,
                name="beta",
                public_key=b"k" * 32,
                own_name="beta",
                address=None,
                port=None,
                tls=False,
                state=realms.ACTIVE,
                now=now,
            )
        )
        world.realm.peers.upsert(known)
        ana, ben = await world.log_in("ana", "ben")
        for number in range(3):
            sent = await ana.ask(
                "send", to="bob@beta", text=f"{number}", idempotency_key=f"{number}"
            )
            assert sent["state"] == "queued"
        assert await ben.refused("send", to="bea@beta", text="one more") == "unavailable"
        assert await ana.refused("sendfile", to="bob@beta", name="x", data="eA==") == "unavailable"
        assert (await ana.ask("send", to="ben", text="here"))["seq"] == 1
        assert len((await ana.ask("outbox"))["queued"]) == 3
        assert len((await ana.ask("history", conversation="bob@beta"))["messages"]) == 3


async def test_groups_are_compared_when_more_was_written_than_may_wait(
    start: Start, enter: Enter
) -> None:
    alpha, beta = await start("alpha"), await start("beta")
    ana, bob = await enter(alpha, "ana"), await enter(beta, "bob")
    group = await share_group(ana, bob, beta)
    await eventually(lambda: idle(ana))
    beta.kill()
    await link_is(ana, "beta", "down")
    alpha.kill()
    # The count is computed from the numbers, so one distant number replaces many rows.
    with closing(sqlite3.connect(alpha.data / "chat.db")) as database:
        database.execute(
            "INSERT INTO outbox (realm_id, number, kind, body, since)"
            " SELECT id, confirmed + ?, 'probe', '{\"token\":\"x\"}', 1 FROM realms",
            (outbox.MAX_WAITING_ROWS,),
        )
        database.commit()
    alpha.start()
    ana = await enter(alpha, "ana", register=False)
    await ana.ask("sendg", group=group, text="not noted")
    await ana.ask("send", to="bob@beta", text="waits all the same")
    assert (await ana.ask("listrealm"))["realms"][0]["queued"] == 2
    beta.start()
    bob = await enter(beta, "bob", register=False)

    async def arrived() -> bool:
        return await texts(bob, f"{group}@alpha") == ["not noted"]

    await eventually(arrived)
    assert await texts(bob, "ana@alpha") == ["waits all the same"]


async def test_a_blocked_realm_gets_what_it_missed_in_groups_once_it_may_link_again(
    start: Start, enter: Enter
) -> None:
    alpha, beta = await start("alpha"), await start("beta")
    ana, bob = await enter(alpha, "ana"), await enter(beta, "bob")
    group = await share_group(ana, bob, beta)
    await eventually(lambda: idle(ana))
    await operate(alpha, "realm block", name="beta")
    await ana.ask("sendg", group=group, text="meanwhile")
    assert (await ana.ask("listrealm"))["realms"][0]["queued"] == 0
    await operate(alpha, "realm unblock", name="beta")

    async def arrived() -> bool:
        return await texts(bob, f"{group}@alpha") == ["meanwhile"]

    await eventually(arrived)


async def test_a_realm_that_asks_too_much_is_told_to_wait(start: Start, enter: Enter) -> None:
    """An unconfirmed realm reaches the limit sooner; existing names cost nothing more."""
    beta = await start("beta", "--rate-limits", "on")
    bob = await enter(beta, "bob")
    mallory = HandmadeRealm()
    await mallory.dial(beta)

    async def asked() -> list[str | None]:
        codes = []
        for _ in range(8):
            # Fewer questions than may be open at once.
            for number in range(200):
                await mallory.say(kind="ask", id=number, what="user", name="bob")
            codes += [(await mallory.hear("answer")).get("code") for _ in range(200)]
        return codes

    codes = await asked()
    assert 100 <= codes.count(None) < 300
    await bob.ask("send", to="eve@mallory", text="who are you?")
    codes = await asked()
    assert codes.count(None) >= 1_000
    assert set(codes) == {None, "rate_limited"}
    await mallory.hang_up()


def test_rows_of_a_realm_are_counted_by_number_and_size() -> None:
    limits = RateLimits(on=True)
    one, two, three = [known_realm(number) for number in (1, 2, 3)]
    assert all(limits.rows(one, 512, 60_000) == 0 for _ in range(90))
    waits = [limits.rows(one, 512, 60_000) for _ in range(20)]
    assert 0 < max(waits) < 2
    assert limits.rows(two, 512, 60_000) == 0
    assert limits.rows(three, 1, 300 * 2**20) > 1
    assert RateLimits(on=False).rows(three, 1, 300 * 2**20) == 0


def test_strangers_have_a_budget_together_too() -> None:
    """Keys cost nothing, so many strangers together may do little more than one."""
    limits = RateLimits(on=True)
    waits = [
        limits.rows(replace(known_realm(number), vouched=False), 500, 500_000)
        for number in range(100)
    ]
    assert waits[:10] == [0] * 10 and waits[-1] > 60


def known_realm(number: int) -> KnownRealm:
    """Return a realm that a local user has confirmed."""
    return KnownRealm(
        *(number, f"r{number}", bytes(32), f"r{number}", None, None),
        *(False, "active", 0, "", "{}", 0, True),
    )


async def test_a_dialled_link_is_read_no_further_while_it_is_paused() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send("one")
        await connection.send("two")
        await connection.wait_closed()

    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        wire = await Dialled.open("127.0.0.1", port, False, False)
        assert await wire.read() == b"one"
        wire.pause_reading()
        reading = asyncio.create_task(wire.read())
        done, _ = await asyncio.wait([reading], timeout=0.3)
        assert not done
        wire.resume_reading()
        assert await reading == b"two"
        await wire.closed()
