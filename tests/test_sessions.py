"""Rules of sessions that end by age; docs/security.md, "Sessions"."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, select, update

from tests.world import Person, World
from ws_server import session_expiry
from ws_server.store.schema import tokens

DAY = 24 * 3600 * 1000


async def age(world: World, days: float) -> None:
    """Let all tokens be unused for so many days more."""

    def set_back(tx: Connection, now: int) -> None:
        tx.execute(update(tokens).values(used=tokens.c.used - int(days * DAY)))

    await world.realm.journal.write(set_back)


async def count(world: World) -> int:
    return len(await world.realm.database.read(lambda tx: tx.scalars(select(tokens.c.hash)).all()))


async def resumes(world: World, person: Person) -> bool:
    reply = await world.connect().say(f'{{"command":"resume","token":"{person.token}"}}')
    assert reply.get("code", "bad_credentials") == "bad_credentials"
    return bool(reply["status"] == "OK")


async def test_a_session_that_was_not_used_for_its_days_has_ended(tmp_path: Path) -> None:
    async with World(tmp_path, session_days=3) as world:
        (bob,) = await world.log_in("bob")
        bob.leave()
        await age(world, 2.9)
        assert await resumes(world, bob)
        await age(world, 2.9)
        assert await resumes(world, bob)  # it was a use
        await age(world, 3.1)
        assert not await resumes(world, bob)


async def test_an_open_connection_is_a_use_and_the_sweep_forgets_the_others(
    tmp_path: Path,
) -> None:
    async with World(tmp_path, session_days=3) as world:
        bob, other = await world.log_in("bob", "bob")
        other.leave()
        await age(world, 400)
        await session_expiry.end_unused(world.realm)
        assert await count(world) == 1
        assert (await bob.ask("whoami"))["user"] == "bob"
        bob.leave()
        assert await resumes(world, bob) and not await resumes(world, other)


async def test_ninety_days_unless_set_otherwise(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        (bob,) = await world.log_in("bob")
        bob.leave()
        await age(world, 89)
        await session_expiry.end_unused(world.realm)
        assert await count(world) == 1
        await age(world, 2)
        await session_expiry.end_unused(world.realm)
        assert await count(world) == 0
