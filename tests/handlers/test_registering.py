"""Rules of who may register, and of invitations; docs/security.md, "Invitations"."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.protocol.call import Dialect
from tests.test_audit import Trail, trail  # noqa: F401 - a fixture
from tests.world import Person, World
from ws_server import housekeeping
from ws_server.admin import control, folder
from ws_server.store.accounts import registering

NEW = {"real_name": "Somebody", "password": "secret1", "country": "Peru"}


@pytest.fixture
async def invite(tmp_path: Path) -> AsyncIterator[World]:
    """A realm by invitation, with an admin."""
    async with World(tmp_path, registration="invite") as world:
        await world.add_users("alice")
        yield world


async def admin(world: World, name: str, **given: str) -> list[str]:
    """Run an admin command as the socket does; return its lines."""
    said: list[str] = []
    await control.run(world.realm, name, given, said.append, folder.local(iter(())))
    return said


async def invitation(world: World, **given: str) -> str:
    """Make an invitation and return its code."""
    return (await admin(world, "invitation create", **given))[0].removeprefix("Invitation: ")


async def left(world: World) -> list[int]:
    """Return how many uses are left of each invitation."""
    return [code.uses_left for code in await world.realm.database.read(registering.all_invitations)]


async def register(person: Person, user: str, **more: str) -> str:
    """Return the code that registering is refused with; empty if it is not."""
    reply = await person.say(
        orjson.dumps({"command": "register", "user": user, **NEW, **more}).decode()
    )
    return str(reply.get("code", ""))


async def test_by_invitation_nobody_registers_without_one(invite: World) -> None:
    bob = invite.connect()
    told = await bob.ask("invitation")
    assert (told["registration"], told["accepted"]) == ("invite", False)
    reply = await bob.say(orjson.dumps({"command": "register", "user": "bob", **NEW}))
    assert reply["code"] == "forbidden" and "invitation <code>" in reply["message"]
    # Whether a name is taken is not told either, nor with a wrong invitation.
    assert await register(bob, "alice") == "forbidden"
    assert await register(bob, "alice", invitation="WRONG") == "bad_credentials"
    code = await invitation(invite)
    assert await register(bob, "bob", invitation=code) == ""
    assert await left(invite) == [0]


async def test_an_invitation_in_words(invite: World) -> None:
    code = await invitation(invite, uses="2")
    bob = invite.connect(dialect=Dialect.TEXT)
    assert (await bob.say("invitation")).startswith("OK Registration is by invitation")
    assert (await bob.say("register bob Bob secret1 Peru")).startswith("ERROR forbidden")
    assert (await bob.say("invitation ABCD-EFGH")).startswith("ERROR bad_credentials")
    typed = code.lower().replace("-", "")
    assert (await bob.say(f"invitation {typed}")) == "OK The invitation is good; register now"
    # Somebody else's connection has not shown it.
    assert await register(invite.connect(), "carol") == "forbidden"
    assert (await bob.say("register bob Bob secret1 Peru")).startswith("OK Welcome bob")
    # It is shown for one account at a time.
    assert (await bob.say("register ben Ben secret1 Peru")).startswith("ERROR forbidden")
    await bob.say(f"invitation {code}")
    assert (await bob.say("register ben Ben secret1 Peru")).startswith("OK Welcome ben")
    assert (await bob.say(f"invitation {code}")).startswith("ERROR bad_credentials")


async def test_showing_an_invitation_uses_nothing_up(invite: World) -> None:
    code = await invitation(invite)
    people = [invite.connect() for _ in range(3)]
    for person in people:
        assert (await person.ask("invitation", code=code))["accepted"] is True
    assert await left(invite) == [1]
    assert await register(people[0], "bob") == ""
    # They were good when they were shown.
    assert await register(people[1], "ben") == "bad_credentials"


async def test_what_is_refused_for_another_reason_uses_nothing_up(invite: World) -> None:
    code = await invitation(invite)
    bob = invite.connect()
    await bob.ask("invitation", code=code)
    assert await register(bob, "alice") == "user_exists"
    assert await register(bob, "root") == "forbidden"
    assert await register(bob, "bob", password="123456") == "bad_arguments"
    assert await left(invite) == [1]
    assert await register(bob, "bob") == ""
    # The same once more, as after a reply that was lost.
    assert await register(bob, "bob", invitation=await invitation(invite)) == "user_exists"
    assert await left(invite) == [0, 1]


async def test_eight_with_the_last_three_uses_at_once_are_three(invite: World) -> None:
    code = await invitation(invite, uses="3")
    people = [invite.connect(f"192.0.2.{n}") for n in range(8)]
    for number, person in enumerate(people):
        frame = {"command": "register", "user": f"user{number}", "invitation": code, **NEW}
        person.send(orjson.dumps(frame))
    codes = [(await person.reply()).get("code", "") for person in people]
    assert sorted(codes) == ["", "", "", *["bad_credentials"] * 5]
    assert await left(invite) == [0]


async def test_two_of_one_name_with_one_invitation_take_one_use(invite: World) -> None:
    code = await invitation(invite, uses="2")
    people = [invite.connect(f"192.0.2.{n}") for n in range(2)]
    for person in people:
        person.send(orjson.dumps({"command": "register", "user": "bob", "invitation": code, **NEW}))
    codes = [(await person.reply()).get("code", "") for person in people]
    assert sorted(codes) == ["", "user_exists"]
    assert await left(invite) == [1]


async def test_who_may_register_changes_at_once_also_for_those_who_showed_an_invitation(
    invite: World,
) -> None:
    code = await invitation(invite)
    bob = invite.connect()
    await bob.ask("invitation", code=code)
    await admin(invite, "registration", mode="closed")
    assert await register(bob, "bob") == "forbidden"
    assert await bob.refused("invitation", code=code) == "forbidden"
    told = await bob.ask("invitation")
    assert (told["registration"], told["accepted"]) == ("closed", False)
    await admin(invite, "registration", mode="open")
    # Where everybody may register, an invitation is neither looked at nor used up.
    assert await register(bob, "bob") == ""
    assert await register(bob, "ben", invitation="WRONG") == ""
    assert await left(invite) == [1]
    carol = invite.connect()
    await carol.ask("invitation", code=code)
    await admin(invite, "registration", mode="invite")
    assert await register(carol, "carol") == ""
    assert await left(invite) == [0]


async def test_a_registration_under_way_when_it_is_closed_makes_no_account(
    invite: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its password is hashed meanwhile, which takes a while."""
    code, hashing = await invitation(invite), type(invite.realm.passwords).hash

    async def slowly(*arguments: Any) -> str:
        await admin(invite, "registration", mode="closed")
        return await hashing(*arguments)

    monkeypatch.setattr(type(invite.realm.passwords), "hash", slowly)
    assert await register(invite.connect(), "bob", invitation=code) == "forbidden"
    assert await left(invite) == [1]


@pytest.mark.parametrize("why", ["unknown", "used up", "expired", "taken back"])
async def test_all_that_is_wrong_with_an_invitation_is_told_alike(invite: World, why: str) -> None:
    code = await invitation(invite)
    (made,) = await invite.realm.database.read(registering.all_invitations)
    if why == "unknown":
        code = "ABCD-EFGH-JKLM-NPQR"
    elif why == "used up":
        assert await register(invite.connect(), "bob", invitation=code) == ""
    elif why == "taken back":
        await admin(invite, "invitation remove", id=made.id.lower())
    else:

        def expire(tx: Any, now: int) -> None:
            table = registering.invitation_codes
            tx.execute(table.update().values(expires=now))

        await invite.realm.journal.write(expire)
    person = invite.connect()
    shown = await person.say(orjson.dumps({"command": "invitation", "code": code}))
    used = await person.say(
        orjson.dumps({"command": "register", "user": "eve", "invitation": code, **NEW})
    )
    assert shown["code"] == used["code"] == "bad_credentials"
    assert shown["message"] == used["message"]
    assert shown["message"].startswith("The invitation is wrong, used up or expired; ask an admin")


async def test_wrong_and_used_up_invitations_take_the_same_time(invite: World) -> None:
    code = await invitation(invite)
    assert await register(invite.connect(), "bob", invitation=code) == ""
    person, times = invite.connect(), {"ABCD-EFGH-JKLM-NPQR": [0.0], code: [0.0]}
    for _ in range(150):
        for shown, taken in times.items():
            began = time.perf_counter()
            await person.refused("invitation", code=shown)
            taken.append(time.perf_counter() - began)
    wrong, used = (statistics.median(taken) for taken in times.values())
    assert 0.5 < wrong / used < 2


async def test_invitations_are_guessed_at_the_pace_of_passwords(tmp_path: Path) -> None:
    async with World(tmp_path, registration="invite", rate_limits="on") as world:
        code = await invitation(world, uses="9")
        mallory, began = world.connect("2001:db8::1"), time.monotonic()
        codes = [await mallory.refused("invitation", code=f"GUESS-{n}") for n in range(100)]
        passed = codes.count("bad_credentials")
        assert 50 <= passed <= 51 + (time.monotonic() - began) / 4
        assert codes.count("rate_limited") == 100 - passed
        # The right one is not told apart any more, nor by register, nor at the same /64.
        assert await mallory.refused("invitation", code=code) == "rate_limited"
        assert await register(mallory, "mallory", invitation=code) == "rate_limited"
        beside = world.connect("2001:db8::2")
        assert await beside.refused("invitation", code="GUESS") == "rate_limited"
        # Right ones cost nothing.
        for _ in range(120):
            await world.connect("192.0.2.7").ask("invitation", code=code)


async def test_many_guesses_at_once_are_no_more_than_one_after_the_other(tmp_path: Path) -> None:
    async with World(tmp_path, registration="invite", rate_limits="on") as world:
        people, began = [world.connect() for _ in range(90)], time.monotonic()
        for person in people:
            person.send('{"command":"invitation","code":"GUESS"}')
        codes = [(await person.reply())["code"] for person in people]
        assert codes.count("bad_credentials") <= 51 + (time.monotonic() - began) / 4


async def test_the_trail_names_invitations_by_their_ids_alone(
    invite: World,
    trail: Trail,  # noqa: F811
) -> None:
    code = await invitation(invite)
    (made,) = await invite.realm.database.read(registering.all_invitations)
    await invite.connect().refused("invitation", code="ABCD")
    assert await register(invite.connect(), "bob", invitation=code) == ""
    assert code not in str(trail.lines)
    assert trail.told() == [
        ("invitation", "done", "", made.id),
        ("invitation", "refused", "", ""),
        ("register", "done", "bob", f"invitation {made.id}"),
    ]
    assert code.replace("-", "")[:6] != made.id


async def test_expired_invitations_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "HOUSEKEEPING", 0.02)
    async with World(tmp_path, registration="invite") as world:
        await invitation(world, days="1")
        await invitation(world, days="2")

        def age(tx: Any, now: int) -> None:
            table = registering.invitation_codes
            tx.execute(table.update().values(expires=table.c.expires - 36 * 3600 * 1000))

        await world.realm.journal.write(age)
        async with asyncio.timeout(20):
            while len(await left(world)) == 2:
                await world.connect().ask("ping")
        assert len(await left(world)) == 1


async def test_a_change_by_an_admin_outlives_a_restart_until_the_option_is_changed(
    tmp_path: Path,
) -> None:
    """After a wave of spam a restart does not open what was closed, nor the other way round."""

    async def held(**settings: str) -> str:
        async with World(tmp_path, **settings) as world:
            return (await world.connect().ask("invitation"))["registration"]

    async with World(tmp_path, registration="open") as world:
        await admin(world, "registration", mode="closed")
    assert await held() == "closed"
    assert await held(registration="open") == "closed"
    # The option is a newer decision, and the older one does not come back.
    assert await held(registration="invite") == "invite"
    assert await held(registration="open") == "open"
    async with World(tmp_path, registration="closed") as world:
        await admin(world, "registration", mode="open")
    assert await held(registration="closed") == "open"
    async with World(tmp_path, registration="closed") as world:
        await admin(world, "registration", mode="closed")
    assert await held(registration="open") == "open"
