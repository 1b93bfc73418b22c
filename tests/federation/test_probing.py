"""The doctor's check of links: rows in both directions, and its report if they do not arrive."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

from tests.admin.command import admin, done
from tests.federation.conftest import Enter, Start
from tests.federation.people import eventually, idle, join, link_is, operate
from tests.realserver import RealServer


async def checked(server: RealServer) -> dict[str, tuple[str, str]]:
    """Return the doctor's level and text for each realm."""
    found = {}
    for line in await operate(server, "realm check"):
        level, _, rest = line.partition(" ")
        name, _, text = rest.partition(": ")
        found[name] = (level, text)
    return found


async def test_the_doctor_has_rows_stored_on_both_sides_of_a_link(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    assert await checked(alpha) == {}
    ana = await enter(alpha, "ana")
    await join(ana, "beta", beta)
    before = outbox_numbers(beta)
    for server, other in ((alpha, "beta"), (beta, "alpha")):
        level, text = (await checked(server))[other]
        assert (level, text.startswith("stored there after ")) == ("ok", True), text
        assert "here after " in text

    async def confirmed() -> bool:
        return outbox_numbers(beta) == before + 2

    # Beta has written a row for each check.
    await eventually(confirmed)
    await eventually(lambda: idle(ana))
    said = await asyncio.to_thread(done, "doctor", data=alpha.data)
    (line,) = [line for line in said.splitlines() if "realms: " in line]
    assert line.startswith("ok ") and "beta: stored there after " in line
    # No probe row is left, and the user's outbox shows none.
    assert (await ana.ask("listrealm"))["realms"][0]["queued"] == 0
    assert (await ana.ask("outbox"))["queued"] == []


def outbox_numbers(server: RealServer) -> int:
    """Return the last number that the other realm has confirmed."""
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        return int(database.execute("SELECT confirmed FROM realms").fetchone()[0])


async def test_realms_that_cannot_be_linked_are_told_apart(start: Start, enter: Enter) -> None:
    alpha, beta = await start("alpha"), await start("beta")
    ana = await enter(alpha, "ana")
    await join(ana, "beta", beta)
    await operate(alpha, "realm block", name="beta")
    assert (await checked(alpha))["beta"] == ("ok", "blocked")
    await operate(alpha, "realm unblock", name="beta")
    beta.kill()
    await link_is(ana, "beta", "down")
    await ana.ask("send", to="bob@beta", text="waits")
    level, text = (await checked(alpha))["beta"]
    assert level == "warn"
    assert text.startswith("no link") and text.endswith("1 waiting")
    ended = await asyncio.to_thread(admin, "doctor", data=alpha.data)
    assert ended.returncode == 0
    assert "warn realms: beta: no link" in ended.stdout


async def test_a_realm_that_cannot_store_now_fails(pair: list[RealServer], enter: Enter) -> None:
    alpha, beta = pair
    ana = await enter(alpha, "ana")
    await join(ana, "beta", beta)
    with closing(sqlite3.connect(beta.data / "chat.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        level, text = (await checked(alpha))["beta"]
        other.execute("ROLLBACK")
    assert level == "fail", text
    assert "the link is up, but " in text
    await link_is(ana, "beta", "up")
    assert (await checked(alpha))["beta"][0] == "ok"


async def test_a_realm_without_a_server_is_not_tried(start: Start) -> None:
    alpha = await start("alpha")
    alpha.kill()
    said = await asyncio.to_thread(done, "doctor", data=alpha.data)
    assert "ok   realms: checked only while the server runs" in said
