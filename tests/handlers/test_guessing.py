"""Rules of guessing at passwords and names over real sessions; docs/security.md, "Guessing"."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import PASSWORD, World

NEW = {"real_name": "Somebody", "password": "secret1", "country": "Peru"}


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, rate_limits="on") as world:
        yield world


class Budget:
    """How many may have passed since this was made: `burst`, and one each `seconds`."""

    def __init__(self, burst: int, seconds: float) -> None:
        self._burst, self._seconds = burst, seconds
        self._since = time.monotonic()

    def holds(self, passed: int) -> bool:
        """Tell whether all of the burst passed, and no more than time allows."""
        taken = time.monotonic() - self._since
        return self._burst <= passed <= self._burst + taken / self._seconds + 1


async def guess(world: World, address: str, user: str) -> str:
    person = world.connect(address)
    code = await person.refused("auth", user=user, password="wrong-one")
    person.leave()
    return code


@pytest.mark.slow
async def test_140_guesses_over_35_accounts_are_50(limited: World) -> None:
    await limited.add_users(*(f"user{number}" for number in range(35)))
    budget = Budget(50, 4)
    codes = [
        await guess(limited, "192.0.2.1", f"user{number}") for number in range(35) for _ in "1234"
    ]
    assert budget.holds(codes.count("bad_credentials"))
    assert codes.count("rate_limited") == 140 - codes.count("bad_credentials")
    await limited.connect("192.0.2.2").ask("auth", user="user1", password=PASSWORD)


@pytest.mark.slow
async def test_an_account_under_attack_from_everywhere_is_open_where_it_has_a_session(
    limited: World,
) -> None:
    await limited.add_users("bob")
    home = limited.connect("203.0.113.7")
    await home.ask("auth", user="bob", password=PASSWORD)
    budget = Budget(50, 60)
    codes = [
        await guess(limited, f"2001:db8:{number:x}::1", "bob")
        for number in range(20)
        for _ in "123"
    ]
    assert budget.holds(codes.count("bad_credentials"))
    assert "rate_limited" in [await guess(limited, f"198.51.100.{n}", "bob") for n in range(3)]
    # At another connection of the same address, after a restart of the app, with no token.
    home.leave()
    again = limited.connect("203.0.113.7")
    token = (await again.ask("auth", user="bob", password=PASSWORD))["token"]
    # A session that moves takes its home along.
    abroad = limited.connect("198.51.100.77")
    await abroad.ask("resume", token=token)
    await limited.connect("198.51.100.77").ask("auth", user="bob", password=PASSWORD)
    # What was said of an account nobody has is the same, as far as strangers can see.
    budget = Budget(50, 60)
    codes = [
        await guess(limited, f"2001:db8:{number:x}::1", "nobody-here")
        for number in range(100, 120)
        for _ in "123"
    ]
    assert budget.holds(codes.count("bad_credentials"))


async def test_200_guesses_from_a_64_are_five(limited: World) -> None:
    await limited.add_users("bob")
    budget = Budget(5, 10)
    codes = [await guess(limited, f"2001:db8::{number:x}", "bob") for number in range(200)]
    assert budget.holds(codes.count("bad_credentials"))


async def test_register_tells_30_times_which_names_exist(limited: World) -> None:
    """The limit comes before the look, for names that exist and for those that do not."""
    await limited.add_users("alice", "bob")
    stranger = limited.connect("192.0.2.1")
    budget = Budget(30, 20)
    codes = [await stranger.refused("register", user="bob", **NEW) for _ in range(300)]
    assert budget.holds(codes.count("user_exists"))
    assert await stranger.refused("register", user="alice", **NEW) == "rate_limited"
    assert await stranger.refused("register", user="nobody-yet", **NEW) == "rate_limited"
    # Names that are taken cost no registration, as the contract has it.
    busy = limited.connect("192.0.2.3")
    for number in range(10):
        assert await busy.refused("register", user="bob", **NEW) == "user_exists"
        await busy.ask("register", user=f"user{number}", **NEW)
    other = limited.connect("192.0.2.2")
    await other.ask("register", user="nobody-yet", **NEW)


async def test_registrations_of_a_64_count_together(limited: World) -> None:
    await limited.add_users("bob")
    budget, codes = Budget(30, 20), []
    for number in range(40):
        stranger = limited.connect(f"2001:db8::{number:x}")
        codes.append(await stranger.refused("register", user="bob", **NEW))
    assert budget.holds(codes.count("user_exists"))
