"""Rules of registration and invitation codes in the store, on either kind of database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert

from tests.world import World
from ws_server.store.accounts import registering, users
from ws_server.store.accounts.registering import InvitationCode
from ws_server.store.schema import meta

HASH, OTHER = b"a" * 32, b"b" * 32


def test_uses_count_down_to_nothing_and_no_further(tx: Any) -> None:
    assert registering.add(tx, "ABC", HASH, 2, 10, 100)
    assert registering.is_usable(tx, HASH, 99)
    assert [registering.use(tx, HASH, 99) for _ in range(3)] == ["ABC", "ABC", None]
    assert not registering.is_usable(tx, HASH, 99)
    assert registering.all_invitations(tx) == [InvitationCode("ABC", 2, 0, 10, 100)]
    assert not registering.is_usable(tx, OTHER, 99) and registering.use(tx, OTHER, 99) is None


def test_invitations_end_at_their_time_and_are_forgotten(tx: Any) -> None:
    registering.add(tx, "ABC", HASH, 1, 10, 100)
    registering.add(tx, "DEF", OTHER, 1, 11, 200)
    assert not registering.is_usable(tx, HASH, 100) and registering.use(tx, HASH, 100) is None
    registering.forget_expired(tx, 100)
    assert [code.id for code in registering.all_invitations(tx)] == ["DEF"]
    assert registering.remove(tx, "DEF") and not registering.remove(tx, "DEF")
    assert registering.all_invitations(tx) == []


def test_invitations_that_can_be_used_are_bounded(tx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registering, "MAX_CODES", 2)
    for number in range(2):
        assert registering.add(tx, f"I{number}", bytes([number]) * 32, 1, 10, 100)
    assert not registering.add(tx, "I2", HASH, 1, 10, 100)
    # Codes that are used up do not count.
    registering.use(tx, bytes(32), 11)
    assert not registering.add(tx, "I1", HASH, 1, 11, 100), "an id is one invitation's"
    assert registering.add(tx, "I2", HASH, 1, 11, 100)
    assert len(registering.all_invitations(tx)) == 3


def test_the_newest_decision_says_who_may_register(tx: Any) -> None:
    assert registering.reconcile_mode(tx, "open") == "open" and registering.stored_mode(tx) is None
    registering.store_mode(tx, "closed", "open")
    assert (
        registering.mode_in_effect(tx, "open") == registering.reconcile_mode(tx, "open") == "closed"
    )
    # A changed option is the newer decision, and the older one does not return.
    assert (
        registering.mode_in_effect(tx, "invite")
        == registering.reconcile_mode(tx, "invite")
        == "invite"
    )
    assert registering.reconcile_mode(tx, "open") == "open"
    registering.store_mode(tx, "closed", "open")
    registering.store_mode(tx, "open", "open")
    assert registering.stored_mode(tx) is None
    # A mode set while no server ran takes precedence over the option of the next start.
    registering.store_mode(tx, "invite", None)
    assert registering.reconcile_mode(tx, "closed") == "invite"
    assert registering.reconcile_mode(tx, "open") == "open"


def test_what_is_no_decision_is_none(tx: Any) -> None:
    tx.execute(insert(meta).values(key="registration", value="perhaps open"))
    assert registering.reconcile_mode(tx, "closed") == "closed"


async def test_a_use_is_undone_with_the_account_it_was_for(world: World) -> None:
    """Its savepoint is rolled back, and the rest of the batch is committed."""
    await world.realm.journal.write(
        lambda tx, now: registering.add(tx, "ABC", HASH, 2, now, now + 60_000)
    )

    def create(tx: Any, now: int) -> None:
        registering.use(tx, HASH, now)
        users.create(tx, "bob", "Bob", "Peru", "", now)

    with pytest.raises(Exception, match="bob is taken"):
        await world.realm.journal.write(create)
    (code,) = await world.realm.database.read(registering.all_invitations)
    assert code.uses_left == 2
