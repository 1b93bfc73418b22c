"""Rules of who becomes the first admin; docs/security.md, "The first admin"."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from shared.protocol.call import Dialect
from tests.world import World
from ws_server.first_admin import FirstAdmin

NEW = {"real_name": "Somebody", "password": "secret1", "country": "Peru"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[World]:
    """A realm that others reach through a proxy, without an admin."""
    async with World(tmp_path, trusted_proxies="192.0.2.200") as world:
        yield world


def code_of(world: World) -> str:
    code = world.realm.first_admin.code
    assert code is not None
    return code


async def is_admin(world: World, name: str) -> bool:
    person = world.connect()
    await person.ask("auth", user=name, password="secret1")
    return bool((await person.ask("whoami"))["admin"])


@pytest.mark.parametrize(
    "settings",
    [
        {"host": "0.0.0.0"},
        {"public": True},
        {"trusted_proxies": "127.0.0.1"},
        {"origins": "https://chat.example.org"},
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_outside_a_trial_the_first_stranger_is_no_admin(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with World(tmp_path, **settings) as world:
        await world.connect().ask("register", user="mallory", **NEW)
        assert not await is_admin(world, "mallory")
        await world.connect().ask("register", user="alice", code=code_of(world), **NEW)
        assert await is_admin(world, "alice")


async def test_in_a_trial_no_code_is_asked_for(world: World) -> None:
    alice = world.connect()
    assert (await alice.ask("code"))["wanted"] is False
    assert await alice.refused("code", code="ABCD") == "forbidden"
    await alice.ask("register", user="alice", **NEW)
    assert await is_admin(world, "alice")


async def test_the_code_in_words(served: World) -> None:
    alice = served.connect(dialect=Dialect.TEXT)
    assert (await alice.say("code")).startswith("OK This realm has no admin yet")
    assert (await alice.say("code ABCD-EFGH")).startswith("ERROR bad_credentials")
    typed = code_of(served).lower().replace("-", "")
    assert (await alice.say(f"code {typed}")).startswith("OK ")
    # Somebody else's connection has not shown it.
    await served.connect().ask("register", user="bob", **NEW)
    assert (await alice.say("register alice Alice secret1 Peru")).startswith("OK Welcome alice")
    assert await is_admin(served, "alice") and not await is_admin(served, "bob")


async def test_the_code_works_once(served: World) -> None:
    code = code_of(served)
    early = served.connect()
    await early.ask("code", code=code)
    await served.connect().ask("register", user="alice", code=code, **NEW)
    late = served.connect()
    assert (await late.ask("code"))["wanted"] is False
    assert await late.refused("code", code=code) == "forbidden"
    assert await late.refused("register", user="mallory", code=code, **NEW) == "forbidden"
    assert await early.refused("register", user="mallory", **NEW) == "forbidden"
    await late.ask("register", user="mallory", **NEW)
    assert not await is_admin(served, "mallory")


async def test_two_with_the_code_at_once_become_one_admin(served: World) -> None:
    code = code_of(served)
    people = [served.connect() for _ in range(4)]
    for number, person in enumerate(people):
        frame = {"command": "register", "user": f"user{number}", "code": code, **NEW}
        person.send(orjson.dumps(frame))
    replies = [await person.reply() for person in people]
    assert sorted(reply.get("code", "") for reply in replies) == ["", *["forbidden"] * 3]
    assert await is_admin(served, next(r["user"] for r in replies if r["status"] == "OK"))


async def test_a_taken_name_does_not_use_up_the_code(served: World) -> None:
    await served.connect().ask("register", user="bob", **NEW)
    alice = served.connect()
    await alice.ask("code", code=code_of(served))
    assert await alice.refused("register", user="bob", **NEW) == "user_exists"
    await alice.ask("register", user="alice", **NEW)
    assert await is_admin(served, "alice")


async def test_codes_are_guessed_at_the_pace_of_passwords(tmp_path: Path) -> None:
    async with World(tmp_path, trusted_proxies="192.0.2.200", rate_limits="on") as world:
        mallory = world.connect("2001:db8::1")
        began = time.monotonic()
        codes = [await mallory.refused("code", code=f"GUESS-{n}") for n in range(100)]
        passed = codes.count("bad_credentials")
        assert 50 <= passed <= 51 + (time.monotonic() - began) / 4
        await world.connect("192.0.2.7").ask("code", code=code_of(world))


async def test_each_start_without_an_admin_has_another_code_and_later_ones_none(
    tmp_path: Path,
) -> None:
    codes = set()
    for _ in range(2):
        async with World(tmp_path, trusted_proxies="192.0.2.200") as world:
            codes.add(code_of(world))
    async with World(tmp_path, trusted_proxies="192.0.2.200") as world:
        await world.connect().ask("register", user="alice", code=code_of(world), **NEW)
    async with World(tmp_path, trusted_proxies="192.0.2.200") as world:
        assert world.realm.first_admin.code is None
    assert len(codes) == 2


@pytest.mark.parametrize("registration", ["invite", "closed"])
async def test_the_code_registers_its_bearer_whoever_else_may_register(
    tmp_path: Path, registration: str
) -> None:
    """Without it a realm that is closed from its first start on had no way in but the console."""
    settings = {"trusted_proxies": "192.0.2.200", "registration": registration}
    async with World(tmp_path, **settings) as world:
        code = code_of(world)
        assert await world.connect().refused("register", user="bob", **NEW) == "forbidden"
        assert await world.connect().refused("register", user="bob", code="A", **NEW) == (
            "bad_credentials"
        )
        alice = world.connect(dialect=Dialect.TEXT)
        await alice.say(f"code {code}")
        assert (await alice.say("register alice Alice secret1 Peru")).startswith("OK Welcome")
        assert await is_admin(world, "alice")
        # It was hers alone, and once.
        assert (await alice.say("register bob Bob secret1 Peru")).startswith("ERROR forbidden")


def test_a_code_has_80_bits_and_is_compared_without_case_dashes_and_blanks() -> None:
    first = FirstAdmin(trial=False)
    first.wanted()
    code = first.code or ""
    assert len(code.replace("-", "")) == 16
    assert first.fits(code) and first.fits(code.lower().replace("-", " "))
    assert not first.fits(code[:-1]) and not first.fits("") and not first.fits("é" * 16)
