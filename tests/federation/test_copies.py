"""A copied data folder whose copies both run: the peer and the copies report it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.admin.command import admin, done
from tests.federation.impostor import Impostor
from tests.federation.people import eventually, realm
from tests.federation.two_realms import TwoRealms
from tests.proxy import Proxy
from tests.rawclient import RawClient
from tests.realserver import RealServer

SEEN = "two servers have the key of one realm"
TOLD = "another server has this realm's key"


@pytest.fixture
def realms(tmp_path: Path) -> Iterator[TwoRealms]:
    made = TwoRealms(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[RealServer]:
    """A server for a copy of alpha's data; the test makes the copy."""
    (tmp_path / "copy").mkdir()
    made = RealServer(tmp_path / "copy")
    yield made
    made.kill()


async def logged(server: RealServer, text: str) -> None:
    async def is_there() -> bool:
        return text in server.log

    await eventually(is_there)


async def doctor(server: RealServer) -> str:
    """Return the doctor's report on the links of a realm."""
    ended = await asyncio.to_thread(admin, "doctor", data=server.data)
    (line,) = [line for line in ended.stdout.splitlines() if " realms: " in line]
    return line


async def test_two_copies_that_run_are_seen_by_the_peer_and_told_to_both(
    realms: TwoRealms, copy: RealServer
) -> None:
    await realms.link()
    bea = await realms.sign_in(realms.beta, "bea")
    assert (await realm(bea, "alpha"))["state"] == "active"
    realms.alpha.stop()
    shutil.copytree(realms.alpha.data, copy.data)
    realms.alpha.start()
    copy.start()
    await logged(realms.beta, SEEN)
    for one in (realms.alpha, copy):
        await logged(one, TOLD)
        assert "fail realms: beta: it sees another server" in await doctor(one)
    assert (await realm(bea, "alpha"))["state"] == "copied"
    assert "alpha: two servers have its key" in await doctor(realms.beta)
    assert "two servers have its key" in await asyncio.to_thread(
        done, "realm", "list", data=realms.beta.data
    )
    # The event is logged once an hour, however often the link flaps.
    assert realms.beta.log.count(SEEN) == 1
    await realms.leave()


async def test_a_copy_that_takes_the_link_of_one_that_cannot_dial_is_seen(
    realms: TwoRealms, copy: RealServer
) -> None:
    """The link does not flap in this case: one of the two servers silently loses it."""
    ana = await RawClient.signed_in(realms.alpha.url, "ana", register=True)
    bea = await realms.sign_in(realms.beta, "bea")
    async with Proxy(realms.alpha.port) as to_alpha:
        added = await bea.ask("addrealm", name="alpha", address="127.0.0.1", port=to_alpha.port)
        assert added["link"] == "up"
        await ana.close()
        realms.alpha.stop()
        shutil.copytree(realms.alpha.data, copy.data)
        realms.alpha.start()

        async def is_up() -> bool:
            return (await realm(bea, "alpha"))["link"] == "up"

        await eventually(is_up)
        copy.start()
        await logged(realms.beta, SEEN)
    await realms.leave()


async def test_a_realm_that_restarts_or_dials_anew_is_no_copy(realms: TwoRealms) -> None:
    async with Proxy(realms.beta.port) as to_beta:
        admin_of_alpha = await realms.sign_in(realms.alpha, "ada")
        await admin_of_alpha.ask("addrealm", name="beta", address="127.0.0.1", port=to_beta.port)
        bea = await realms.sign_in(realms.beta, "bea")

        async def is_up() -> bool:
            return (await realm(bea, "alpha"))["link"] == "up"

        for number in range(6):
            await eventually(is_up)
            if number % 3 == 0:
                realms.alpha.kill()
                realms.alpha.start()
            elif number % 3 == 1:
                to_beta.cut()
            else:
                # The old connection is half-open: no frame passes.
                to_beta.black_hole = True
                realms.alpha.kill()
                to_beta.black_hole = False
                realms.alpha.start()
        await eventually(is_up)
        assert (await realm(bea, "alpha"))["state"] == "active"
    assert SEEN not in realms.beta.log + realms.alpha.log
    assert TOLD not in realms.beta.log + realms.alpha.log
    await realms.leave()


async def test_a_server_that_does_not_say_which_start_it_is_is_no_copy(
    realms: TwoRealms,
) -> None:
    """A server of an earlier version sends no instance; here both sides dial at once."""
    emil = await realms.sign_in(realms.alpha, "emil")
    first = await Impostor.linked(realms.alpha.url, "old")
    await first.open()
    second = await Impostor.linked(realms.alpha.url, "old")
    assert await first.closed_with() == 4401
    await second.open()
    assert (await realm(emil, "old"))["state"] == "active"
    assert SEEN not in realms.alpha.log
    await second.close()
    await realms.leave()
