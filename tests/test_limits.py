"""Rules of the limits, on a clock of their own."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from shared import token_buckets
from shared.protocol.errors import ChatError, ErrorCode
from shared.token_buckets import Buckets
from ws_server.limits import RateLimits
from ws_server.net import session as session_module
from ws_server.net.session import Session


class Clock:
    """Time that goes on when it is told to."""

    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(token_buckets, "time", made)
    return made


def wait_of(buckets: Buckets, key: str, amount: float = 1.0) -> float | None:
    """Return the seconds that were asked for, or None if it was allowed."""
    try:
        buckets.take(key, amount)
    except ChatError as error:
        assert error.code is ErrorCode.RATE_LIMITED
        return error.retry_after
    return None


def test_a_burst_then_the_rate(clock: Clock) -> None:
    buckets = Buckets(rate=2, burst=3)
    assert [wait_of(buckets, "a") for _ in range(4)] == [None, None, None, 0.5]
    clock.now += 0.25
    assert wait_of(buckets, "a") == 0.3  # rounded up to a tenth
    clock.now += 0.25
    assert [wait_of(buckets, "a") for _ in range(2)] == [None, 0.5]


def test_after_the_wait_it_asked_for_it_allows(clock: Clock) -> None:
    buckets = Buckets(rate=0.3, burst=5)
    for _ in range(30):
        wait = wait_of(buckets, "a")
        if wait is not None:
            clock.now += wait
            assert wait_of(buckets, "a") is None


def test_a_long_rest_gives_no_more_than_the_burst(clock: Clock) -> None:
    buckets = Buckets(rate=2, burst=3)
    wait_of(buckets, "a")
    clock.now += 10_000
    assert [wait_of(buckets, "a") for _ in range(4)][-1] is not None


def test_a_refused_one_costs_nothing_and_keys_are_apart(clock: Clock) -> None:
    buckets = Buckets(rate=1, burst=1)
    wait_of(buckets, "a")
    assert [wait_of(buckets, "a") for _ in range(5)] == [1.0] * 5
    assert wait_of(buckets, "b") is None


def test_what_is_given_back_never_exceeds_the_burst(clock: Clock) -> None:
    buckets = Buckets(rate=1, burst=2)
    buckets.take("a")
    for _ in range(5):
        buckets.give_back("a")
    assert [wait_of(buckets, "a") for _ in range(3)][:2] == [None, None]
    assert wait_of(buckets, "a") is not None


def test_full_buckets_are_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_buckets, "MAX_IDLE_BUCKETS", 100)
    buckets = Buckets(rate=1, burst=5)
    for key in range(100):
        buckets.take(key)
    clock.now += 60
    buckets.take("new")
    assert len(buckets._levels) == 1


def test_many_buckets_that_are_not_full_cost_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of address and account are chosen by whoever guesses passwords."""
    looked: list[int] = []
    original = Buckets._forget_full

    def counted(self: Buckets, now: float) -> None:
        looked.append(len(self._levels))
        original(self, now)

    monkeypatch.setattr(token_buckets, "MAX_IDLE_BUCKETS", 100)
    monkeypatch.setattr(Buckets, "_forget_full", counted)
    buckets = Buckets(rate=1e-9, burst=5)
    for key in range(1_000):
        buckets.take(key)
    assert sum(looked) < 10_000


def allowed(limits: RateLimits, method: str, *arguments: object) -> int:
    count = 0
    try:
        while count < 2_000:
            getattr(limits, method)(*arguments)
            count += 1
    except ChatError as error:
        assert error.code is ErrorCode.RATE_LIMITED
        assert error.retry_after is not None and error.retry_after >= 0.1
    return count


def test_the_numbers_of_the_contract(clock: Clock) -> None:
    limits = RateLimits(on=True)
    assert allowed(limits, "command", 1) == 1_000
    assert allowed(limits, "registration", "192.0.2.1") == 30
    clock.now += 10
    assert allowed(limits, "command", 1) == 500
    assert allowed(limits, "registration", "192.0.2.1") == 0
    clock.now += 590
    assert allowed(limits, "registration", "192.0.2.1") == 30
    assert (limits.MAX_ERRORS, limits.ERROR_WINDOW) == (1_000, 60)


def test_registrations_of_a_64_count_together_and_a_48_has_twice_as_many(clock: Clock) -> None:
    limits = RateLimits(on=True)
    assert allowed(limits, "registration", "2001:db8:0:1::1") == 30
    assert allowed(limits, "registration", "2001:db8:0:1:ffff::2") == 0
    assert allowed(limits, "registration", "2001:db8:0:2::1") == 30
    assert allowed(limits, "registration", "2001:db8:0:3::1") == 0
    assert allowed(limits, "registration", "2001:db8:1::1") == 30
    assert allowed(limits, "registration", "::ffff:192.0.2.1") == 30
    assert allowed(limits, "registration", "192.0.2.1") == 0
    clock.now += 600
    assert allowed(limits, "registration", "2001:db8:0:3::1") == 30


def test_first_contacts_of_a_48_or_a_24_count_together(clock: Clock) -> None:
    """Five /64 of one customer took all places of those who wait for approval."""
    limits = RateLimits(on=True)
    for one, two, three, elsewhere in (
        ("2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1", "2001:db8:1::1"),
        ("192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1"),
    ):
        counts = [allowed(limits, "first_contact", at) for at in (one, one, two, three, elsewhere)]
        assert counts == [10, 0, 10, 0, 10]
        added = [allowed(limits, "added_realm", at, at) for at in (one, two, three)]
        assert added == [10, 10, 0]
    assert allowed(limits, "added_realm", "one user", "203.0.113.1") == 10
    assert allowed(limits, "added_realm", "one user", "203.0.113.2") == 0
    clock.now += 3600
    assert allowed(limits, "first_contact", "192.0.2.3") == 10


def test_changes_of_groups_wait_for_their_turn_and_too_many_are_refused(clock: Clock) -> None:
    """Whoever invited and left in a loop kept everybody's messages waiting."""
    limits = RateLimits(on=True)
    waits = [limits.group_change("192.0.2.1") for _ in range(60)]
    assert waits[:20] == [0.0] * 20
    assert waits[20:] == pytest.approx([number / 20 for number in range(1, 41)])
    assert allowed(limits, "group_change", "192.0.2.1") == 0
    assert limits.group_change("192.0.2.2") == 0.0
    clock.now += 1
    assert allowed(limits, "group_change", "192.0.2.1") == 20
    assert [RateLimits(on=False).group_change("192.0.2.1") for _ in range(100)] == [0.0] * 100


def test_switched_off_they_allow_everything() -> None:
    limits = RateLimits(on=False)
    for method, arguments in {
        "command": (1,),
        "content": (1, 2**30, True),
        "registration": ("192.0.2.1",),
    }.items():
        assert allowed(limits, method, *arguments) == 2_000


def test_chunks_are_limited_by_their_bytes(clock: Clock) -> None:
    limits = RateLimits(on=True)
    began = time.monotonic()
    count = allowed(limits, "content", 1, 2**20, True)
    assert count == 64
    clock.now += 1
    assert allowed(limits, "content", 1, 2**20, True) == 16
    assert time.monotonic() - began < 10


def test_errors_count_from_the_first_one_though_the_machine_has_just_been_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Monotonic clocks begin at the boot, so none may be compared with 0."""
    clock = Clock()
    monkeypatch.setattr(session_module, "time", clock)
    session = Session(cast(Any, None), "127.0.0.1")
    clock.now = 59.0
    assert session.errors_within(60) == 1
    clock.now = 61.0
    assert session.errors_within(60) == 2
    clock.now = 119.5
    assert session.errors_within(60) == 1
