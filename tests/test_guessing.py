"""Rules of wrong passwords, on a clock of their own; contract, section 6, Limits."""

from __future__ import annotations

import pytest

from shared import token_buckets
from shared.protocol.errors import ChatError, ErrorCode
from tests.test_limits import Clock
from ws_server.password_guesses import Guesses

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(token_buckets, "time", made)
    return made


def tried(guesses: Guesses, address: str, account: str, at_home: bool = False) -> bool:
    """Guess wrong, if that is allowed."""
    try:
        guesses.begin(address, account, at_home)
    except ChatError as error:
        assert error.code is ErrorCode.RATE_LIMITED
        assert error.retry_after is not None and error.retry_after >= 0.1
        return False
    guesses.wrong(address, at_home)
    return True


def count(guesses: Guesses, address: str, account: str, at_home: bool = False) -> int:
    """Return how many wrong guesses are allowed at once."""
    return next((n for n in range(2_000) if not tried(guesses, address, account, at_home)), 2_000)


def test_five_at_once_for_a_pair_then_one_in_ten_seconds(clock: Clock) -> None:
    guesses = Guesses(on=True)
    assert count(guesses, HERE, "bob") == 5
    assert count(guesses, THERE, "bob") == 5
    assert count(guesses, HERE, "alice") == 5
    clock.now += 10
    assert count(guesses, HERE, "bob") == 1


def test_many_accounts_are_no_more_guesses_for_an_address(clock: Clock) -> None:
    guesses = Guesses(on=True)
    assert sum(count(guesses, HERE, f"user{number}") for number in range(35)) == 50
    assert count(guesses, THERE, "user34") == 5
    clock.now += 4
    assert count(guesses, HERE, "another") == 1


def test_many_addresses_are_few_guesses_at_an_account(clock: Clock) -> None:
    guesses = Guesses(on=True)
    assert sum(count(guesses, f"192.0.2.{number}", "bob") for number in range(100)) == 50
    assert count(guesses, "198.51.100.1", "alice") == 5
    clock.now += 60
    assert count(guesses, "198.51.100.2", "bob") == 1


def test_a_64_is_one_address_and_a_48_two(clock: Clock) -> None:
    guesses = Guesses(on=True)
    each = range(40)
    assert count(guesses, "2001:db8::1", "bob") == 5
    assert count(guesses, "2001:db8::ffff:2", "bob") == 0
    assert 5 + sum(count(guesses, f"2001:db8::{n:x}", f"user{n}") for n in each) == 50
    networks = [f"2001:db8:0:{n:x}::1" for n in range(1, 41)]
    assert sum(count(guesses, address, address) for address in networks) == 50
    assert count(guesses, "2001:db8:1::1", "bob") == 5
    assert count(guesses, "::ffff:192.0.2.1", "bob") == 5
    assert count(guesses, "192.0.2.1", "bob") == 0


def test_where_somebody_has_a_session_guesses_of_others_do_not_lock_them_out(clock: Clock) -> None:
    guesses = Guesses(on=True)
    for number in range(100):
        count(guesses, f"192.0.2.{number}", "bob")
    home = "203.0.113.1"
    for number in range(100):
        count(guesses, home, f"user{number}")
    assert count(guesses, "198.51.100.1", "bob") == count(guesses, home, "bob") == 0
    guesses.begin(home, "bob", at_home=True)


def test_a_program_with_an_old_password_locks_nobody_out_beside_it_or_elsewhere(
    clock: Clock,
) -> None:
    """It tries for ever, from an address where its account has a session."""
    guesses = Guesses(on=True)
    for _ in range(1_000):
        tried(guesses, HERE, "bob", at_home=True)
        clock.now += 5
    assert count(guesses, HERE, "alice") == 5
    assert count(guesses, THERE, "bob") == 5


def test_a_stolen_session_makes_guesses_at_its_password_no_cheaper(clock: Clock) -> None:
    guesses = Guesses(on=True)
    each = range(200)
    assert sum(count(guesses, f"192.0.2.{n}", "bob", at_home=True) for n in each) == 100
    clock.now += 5
    assert count(guesses, "198.51.100.1", "bob", at_home=True) == 1


def test_right_passwords_cost_nothing_however_many_at_once(clock: Clock) -> None:
    guesses = Guesses(on=True)
    people = [(HERE, f"user{number}", False) for number in range(500)]
    for person in people:
        guesses.begin(*person)
    for person in people:
        guesses.forgive(*person)
    for _ in range(100):
        guesses.begin(HERE, "bob", at_home=False)
        guesses.forgive(HERE, "bob", at_home=False)
    assert count(guesses, HERE, "bob") == 5


def test_guesses_made_at_once_are_paid_for_afterwards(clock: Clock) -> None:
    guesses = Guesses(on=True)
    for number in range(250):
        guesses.begin(HERE, f"user{number}", at_home=False)
    for _ in range(250):
        guesses.wrong(HERE)
    assert count(guesses, HERE, "bob") == 0
    clock.now += 4 * 200
    assert count(guesses, HERE, "bob") == 0
    clock.now += 4
    assert count(guesses, HERE, "bob") == 1


def test_switched_off_everything_is_allowed() -> None:
    assert count(Guesses(on=False), HERE, "bob") == 2_000
